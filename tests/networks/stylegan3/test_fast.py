"""The synthesis that pictures are sampled with, against the readable one."""

from pathlib import Path

import numpy as np
import pytest
import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import ShapeError
from metagan.networks.loading.detect import load_generator
from metagan.networks.stylegan3.fast import FastSynthesis
from metagan.networks.stylegan3.network import StyleGAN3
from metagan.sampling.levels import to_uint8
from tests.networks.stylegan3.test_load import GOLDEN, VECTORS
from tests.networks.stylegan3.test_network import ODD, make


def psnr(images: torch.Tensor, wanted: torch.Tensor) -> float:
    mine, theirs = (np.stack(to_uint8(each)).astype(float) for each in (images, wanted))
    return float(10 * np.log10(255**2 / max(((mine - theirs) ** 2).mean(), 1e-9)))


def assert_alike(weights: Path) -> None:
    """Exact in float32, and 40 dB with convolutions in bfloat16."""
    network = load_generator(read_checkpoint(weights))
    assert isinstance(network, StyleGAN3)
    with torch.inference_mode(), np.load(weights.with_suffix(".npz")) as arrays:
        for name in ("ws_psi1", "ws_wsmix"):
            ws = torch.from_numpy(arrays[name]).float()
            wanted = network.synthesize(ws)
            exact = FastSynthesis(network).synthesize(ws)
            assert (exact - wanted).abs().max() <= 2e-5 * max(1, float(wanted.abs().max()))
            assert psnr(FastSynthesis(network, torch.bfloat16).synthesize(ws), wanted) >= 40


def test_the_golden_pickle_s_pictures_are_its_own():
    assert_alike(GOLDEN)


@pytest.mark.parametrize("stem", VECTORS)
def test_every_vector_s_pictures_are_its_own(stem, shared_vectors):
    assert_alike(shared_vectors / "sg3" / f"{stem}.pkl")


@pytest.mark.parametrize("config", ODD)
def test_odd_shapes_give_the_readable_network_s_pictures(config):
    network = make(config)
    ws = torch.randn(2, network.num_ws, network.w_dim)
    with torch.inference_mode():
        wanted = network.synthesize(ws)
        limit = 2e-5 * float(wanted.abs().max())
        torch.testing.assert_close(FastSynthesis(network).synthesize(ws), wanted, rtol=0, atol=limit)


def test_in_bfloat16_a_picture_is_the_same_alone():
    network = make(ODD[0])
    ws = torch.randn(3, network.num_ws, network.w_dim)
    fast = FastSynthesis(network, torch.bfloat16)
    assert torch.equal(fast.synthesize(ws)[1:2], fast.synthesize(ws[1:2]))


def test_styles_of_the_wrong_size_are_refused():
    network = make(ODD[0])
    with pytest.raises(ShapeError, match=r"styles: want \["):
        FastSynthesis(network).synthesize(torch.zeros(1, 1, 1))
