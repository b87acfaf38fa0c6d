"""The synthesis that pictures are sampled with, against the readable one."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import ShapeError
from metagan.networks.generator import Noise
from metagan.networks.loading.detect import load_generator
from metagan.networks.stylegan2.fast import FastSynthesis, Way, choose_ways
from metagan.networks.stylegan2.network import StyleGAN2
from metagan.registry.weights_ref import bundled_names, bundled_weights
from metagan.sampling.latents import latents
from metagan.sampling.levels import to_uint8
from tests.networks.stylegan2.test_network import ODD, make

VECTORS = ["sg2ada/*.pkl", "sg2in3/*.pkl", "tf/tf_ada*.pkl", "tf/tf_sg2_skip32.pkl", "rosinality/*.pt"]
LAYOUTS = (torch.channels_last, torch.contiguous_format)
WAYS = [
    Way(torch.float32, own, own, phases, layout)
    for own, phases, layout in itertools.product((False, True), (False, True), LAYOUTS)
]


def noises(batch: int) -> list[Noise | None]:
    return [None, Noise("none"), Noise("random", range(batch))]


@pytest.mark.parametrize("config", ODD)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_readable_network_s_pictures(config, way):
    network = make(config)
    ws = torch.randn(3, network.num_ws, network.w_dim, generator=torch.Generator().manual_seed(2))
    fast = FastSynthesis(network, [way] * len(config.channels))
    with torch.inference_mode():
        for mine, theirs in zip(noises(3), noises(3), strict=True):
            wanted = network.synthesize(ws, theirs)
            torch.testing.assert_close(
                fast.synthesize(ws, mine), wanted, rtol=0, atol=2e-5 * float(wanted.abs().max())
            )


def test_blocks_may_be_computed_in_different_ways():
    network = make(ODD[0])
    ws = torch.randn(2, network.num_ws, network.w_dim)
    fast = FastSynthesis(network, [WAYS[0], WAYS[3], WAYS[4]])
    torch.testing.assert_close(fast.synthesize(ws), network.synthesize(ws).detach(), rtol=0, atol=1e-3)


def test_a_picture_is_the_same_alone_where_it_has_kernels_of_its_own():
    network = make(ODD[0])
    ws = torch.randn(3, network.num_ws, network.w_dim)
    fast = FastSynthesis(network, [WAYS[4]] * 3)
    assert torch.equal(fast.synthesize(ws)[1:2], fast.synthesize(ws[1:2]))


def test_styles_of_another_shape_are_refused():
    network = make(ODD[0])
    with pytest.raises(ShapeError, match=r"want \[batch, 6, 8\], got \[1, 5, 8\]"):
        FastSynthesis(network, choose_ways(network)).synthesize(torch.zeros(1, 5, 8))


def test_coarse_blocks_share_kernels_and_fine_ones_do_not():
    ways = choose_ways(make_wide(), torch.bfloat16)
    assert [way.own_kernels for way in ways] == [False, False, False, True, True]
    assert all(way.alone for way in ways)
    assert [way.alone for way in choose_ways(make_wide())] == [False, False, False, True, True]
    assert [way.dtype for way in ways] == [torch.float32] * 2 + [torch.bfloat16] * 3
    assert not any(way.phases for way in ways)


def make_wide() -> StyleGAN2:
    return StyleGAN2(dataclasses.replace(ODD[0], channels=(64, 64, 64, 64, 32)))


def test_every_reference_vector_s_pictures_are_its_own(shared_vectors):
    """Exact in float32; with all blocks in bfloat16, even the coarse ones, at least 40 dB."""
    checked = 0
    for path in sorted(itertools.chain(*(shared_vectors.glob(pattern) for pattern in VECTORS))):
        network = load_generator(read_checkpoint(path))
        assert isinstance(network, StyleGAN2)
        z = torch.from_numpy(np.load(path.with_suffix(".npz"))["z"]).float()
        label = torch.eye(network.c_dim)[torch.arange(len(z)) % network.c_dim] if network.c_dim else None
        with torch.inference_mode():
            ws = network.map_latents(z, label)
            wanted = network.synthesize(ws)
            exact = FastSynthesis(network, choose_ways(network)).synthesize(ws)
            assert (exact - wanted).abs().max() <= 2e-5 * max(1, float(wanted.abs().max())), path
            for ways in (choose_ways(network, torch.bfloat16), narrow_ways(network)):
                assert psnr(FastSynthesis(network, ways).synthesize(ws), wanted) >= 40, path
        checked += 1
    assert checked >= 14


def narrow_ways(network: StyleGAN2) -> list[Way]:
    return [Way(torch.bfloat16, alone=True, own_kernels=True, phases=False)] * len(network.blocks)


def psnr(images: torch.Tensor, wanted: torch.Tensor) -> float:
    mine, theirs = (np.stack(to_uint8(each)).astype(float) for each in (images, wanted))
    return float(10 * np.log10(255**2 / max(((mine - theirs) ** 2).mean(), 1e-9)))


@pytest.mark.parametrize("name", bundled_names())
def test_every_bundled_generator_s_pictures_in_bfloat16_are_its_own_to_40_db(name):
    network = load_generator(read_checkpoint(bundled_weights(name)))
    assert isinstance(network, StyleGAN2)
    with torch.inference_mode():
        ws = network.map_latents(latents(range(8), network.z_dim), psi=0.7)
        wanted = network.synthesize(ws)
        fast = FastSynthesis(network, choose_ways(network, torch.bfloat16))
        assert psnr(fast.synthesize(ws), wanted) >= 40
