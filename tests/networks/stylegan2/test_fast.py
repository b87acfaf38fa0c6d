"""The forms that StyleGAN2 is sampled and trained in, against the readable ones."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import ShapeError
from metagan.networks.generator import Noise
from metagan.networks.loading.detect import load_generator
from metagan.networks.mapping import MappingConfig
from metagan.networks.stylegan2.discriminator import Discriminator, DiscriminatorConfig
from metagan.networks.stylegan2.fast import (
    BlockPlan,
    FastSynthesis,
    features_for_training,
    logits_for_training,
    plan_blocks,
    synthesize_for_training,
)
from metagan.networks.stylegan2.network import StyleGAN2
from metagan.registry.weights_ref import bundled_names, bundled_weights
from metagan.sampling.latents import latents
from metagan.sampling.levels import to_uint8
from tests.conftest import Vectors
from tests.networks.stylegan2.test_network import ODD, make

VECTORS = ["sg2ada/*.pkl", "sg2in3/*.pkl", "tf/tf_ada*.pkl", "tf/tf_sg2_skip32.pkl", "rosinality/*.pt"]
LAYOUTS = (torch.channels_last, torch.contiguous_format)
PLANS = [
    BlockPlan(torch.float32, own, own, phases, layout)
    for own, phases, layout in itertools.product((False, True), (False, True), LAYOUTS)
]


def noises(batch: int) -> list[Noise | None]:
    return [None, Noise("none"), Noise("random", range(batch))]


@pytest.mark.parametrize("config", ODD)
@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_gives_the_readable_network_s_pictures(config, plan):
    network = make(config)
    ws = torch.randn(3, network.num_ws, network.w_dim, generator=torch.Generator().manual_seed(2))
    fast = FastSynthesis(network, [plan] * len(config.channels))
    with torch.inference_mode():
        for mine, theirs in zip(noises(3), noises(3), strict=True):
            wanted = network.synthesize(ws, theirs)
            torch.testing.assert_close(
                fast.synthesize(ws, mine), wanted, rtol=0, atol=2e-5 * float(wanted.abs().max())
            )


def test_blocks_may_be_computed_in_different_ways():
    network = make(ODD[0])
    ws = torch.randn(2, network.num_ws, network.w_dim)
    fast = FastSynthesis(network, [PLANS[0], PLANS[3], PLANS[4]])
    torch.testing.assert_close(fast.synthesize(ws), network.synthesize(ws).detach(), rtol=0, atol=1e-3)


def test_a_picture_is_the_same_alone_where_it_has_kernels_of_its_own():
    network = make(ODD[0])
    ws = torch.randn(3, network.num_ws, network.w_dim)
    fast = FastSynthesis(network, [PLANS[4]] * 3)
    assert torch.equal(fast.synthesize(ws)[1:2], fast.synthesize(ws[1:2]))


def test_styles_of_another_shape_are_refused():
    network = make(ODD[0])
    with pytest.raises(ShapeError, match=r"want \[batch, 6, 8\], got \[1, 5, 8\]"):
        FastSynthesis(network, plan_blocks(network)).synthesize(torch.zeros(1, 5, 8))


def test_coarse_blocks_share_kernels_and_fine_ones_do_not():
    plans = plan_blocks(make_wide(), torch.bfloat16)
    assert [plan.own_kernels for plan in plans] == [False, False, False, True, True]
    assert all(plan.alone for plan in plans)
    assert [plan.alone for plan in plan_blocks(make_wide())] == [False, False, False, True, True]
    assert [plan.dtype for plan in plans] == [torch.float32] * 2 + [torch.bfloat16] * 3
    assert not any(plan.phases for plan in plans)


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
            exact = FastSynthesis(network, plan_blocks(network)).synthesize(ws)
            assert (exact - wanted).abs().max() <= 2e-5 * max(1, float(wanted.abs().max())), path
            for plans in (plan_blocks(network, torch.bfloat16), narrow_plans(network)):
                assert psnr(FastSynthesis(network, plans).synthesize(ws), wanted) >= 40, path
        checked += 1
    assert checked >= (4 if isinstance(shared_vectors, Vectors) else 14)


def narrow_plans(network: StyleGAN2) -> list[BlockPlan]:
    return [BlockPlan(torch.bfloat16, alone=True, own_kernels=True, phases=False)] * len(network.blocks)


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
        fast = FastSynthesis(network, plan_blocks(network, torch.bfloat16))
        assert psnr(fast.synthesize(ws), wanted) >= 40


# --------------------------------------------------------------------------------------------
# Training


def gradients(loss: torch.Tensor, inputs: torch.Tensor, network: torch.nn.Module) -> list[torch.Tensor]:
    """The gradients of the loss, and of the squared length of its gradient by the inputs (as in R1 and path length)."""
    (by_input,) = torch.autograd.grad(loss, inputs, create_graph=True)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    ask = {"allow_unused": True, "materialize_grads": True}
    first = torch.autograd.grad(loss, parameters, retain_graph=True, **ask)
    return [by_input.detach(), *first, *torch.autograd.grad(by_input.square().sum(), parameters, **ask)]


def assert_same(mine: list[torch.Tensor], wanted: list[torch.Tensor]) -> None:
    largest = max(float(tensor.detach().abs().max()) for tensor in wanted)
    for one, other in zip(mine, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9 * largest)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("config", ODD)
def test_the_training_form_has_the_readable_network_s_pictures_and_gradients(config, layout):
    network = make(config).double().to(memory_format=layout)
    rng = torch.Generator().manual_seed(2)
    ws = torch.randn(3, network.num_ws, network.w_dim, generator=rng, dtype=torch.float64, requires_grad=True)
    for one, other in zip(noises(3), noises(3), strict=True):
        mine = synthesize_for_training(network, ws, one or Noise("const"))
        wanted = network.synthesize(ws, other)
        weights = torch.randn(wanted.shape, generator=rng, dtype=torch.float64)
        assert_same([mine], [wanted])
        assert_same(*(gradients((images.tanh() * weights).sum(), ws, network) for images in (mine, wanted)))


LABELS = MappingConfig(z_dim=0, c_dim=3, embed_dim=4, widths=(4, 6), has_mean_style=False)
DISCRIMINATORS = [
    DiscriminatorConfig(channels=(4, 5, 6)),
    DiscriminatorConfig(channels=(4, 5, 6), clamp=0.8, label_mapping=LABELS),
    DiscriminatorConfig(channels=(4, 5, 6), kind="skip", activation="swish", std_channels=0),
    DiscriminatorConfig(
        channels=(3, 4), kind="orig", filter_shape=(9,), last_activation="relu", group_size=None
    ),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("config", DISCRIMINATORS)
def test_the_training_form_has_the_readable_discriminator_s_logits_and_gradients(config, layout):
    torch.manual_seed(0)
    network = Discriminator(config).double().to(memory_format=layout)
    for name, tensor in network.state_dict().items():
        if name.endswith("bias") or "taps" in name:
            tensor.copy_(torch.rand_like(tensor))
    size = (4, config.image_channels, config.resolution, config.resolution)
    images = torch.randn(size, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    label = torch.eye(3)[[0, 1, 2, 0]] if config.label_mapping else None
    mine = logits_for_training(network, *features_for_training(network, images), label)
    wanted = network(images, label)
    assert_same([mine], [wanted])
    assert_same(*(gradients(logits.square().sum(), images, network) for logits in (mine, wanted)))


def test_the_training_form_needs_labels_where_the_readable_network_does():
    network = Discriminator(DISCRIMINATORS[1])
    with pytest.raises(ShapeError, match=r"wants labels of width 3, got none"):
        logits_for_training(network, *features_for_training(network, torch.zeros(4, 3, 16, 16)), None)
