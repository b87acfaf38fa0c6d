"""On a CUDA device: the CPU's pictures, recorded graphs, halved batches, the same bytes."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.networks.generator import Generator, Noise
from metagan.networks.loading.detect import load_generator
from metagan.networks.stylegan2.fast import BlockPlan, FastSynthesis
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from metagan.registry.weights_ref import bundled_weights
from metagan.sampling.cuda_graphs import GraphRunner, RecordedSynthesis
from metagan.sampling.device import choose_device
from metagan.sampling.memory import automatic_batch
from metagan.sampling.sampler import Sampler, Settings, exact_convolutions
from tests.networks.stylegan2.test_network import ODD, make

pytestmark = pytest.mark.gpu
SEEDS = range(5)


@pytest.fixture
def cuda() -> torch.device:
    return choose_device("cuda")


def wide() -> StyleGAN2:
    """128x128, as wide as published ones of that size."""
    torch.manual_seed(0)
    config = Config(MappingConfig(512, 0, 0, (512, 512)), (512, 512, 512, 256, 128, 64), clamp=256.0)
    network = StyleGAN2(config).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("noise_strength"):
            tensor.fill_(0.1)
        elif "to_rgb.weight" in name:
            tensor.mul_(0.3)
    return network


def draw(generator: Generator, device: torch.device, **options) -> np.ndarray:
    settings = Settings(psi=options.pop("psi", 0.7), noise=options.pop("noise", "const"))
    return np.stack(
        [picture for _, picture in Sampler(generator, device, **options).pictures(SEEDS, settings)]
    )


def psnr(mine: np.ndarray, wanted: np.ndarray) -> float:
    error = mine.astype(float) - wanted
    return float(10 * np.log10(255**2 / max((error**2).mean(), 1e-9)))


def generators() -> dict[str, Generator]:
    return {"apes": load_generator(read_checkpoint(bundled_weights("apes"))), "wide": wide()}


@pytest.mark.parametrize("name", ["apes", "wide"])
@pytest.mark.parametrize("noise", ["const", "none", "random"])
def test_fp32_pictures_are_the_cpu_s_within_a_level_on_a_thousandth(cuda, name, noise):
    wanted = draw(generators()[name], torch.device("cpu"), batch=4, noise=noise).astype(int)
    mine = draw(generators()[name], cuda, batch=4, noise=noise)
    assert np.abs(mine - wanted).max() <= 1
    assert (mine != wanted).mean() <= 1e-3


@pytest.mark.parametrize("name", ["apes", "wide"])
def test_bf16_pictures_are_within_40_db(cuda, name):
    wanted = draw(generators()[name], torch.device("cpu"), batch=4)
    assert psnr(draw(generators()[name], cuda, batch=4, precision="bf16"), wanted) >= 40


def test_the_same_batch_gives_the_same_bytes_and_another_batch_nearly(cuda):
    for precision in ("fp32", "bf16"):
        first = draw(wide(), cuda, batch=4, precision=precision)
        assert np.array_equal(draw(wide(), cuda, batch=4, precision=precision), first)
    other = draw(wide(), cuda, batch=3).astype(int) - draw(wide(), cuda, batch=4)
    assert np.abs(other).max() <= 1
    assert (other != 0).mean() <= 1e-3


@pytest.mark.parametrize("config", ODD)
@pytest.mark.parametrize(("own", "phases"), [*itertools.product((False, True), repeat=2)])
def test_every_way_gives_the_readable_network_s_pictures(cuda, config, own, phases):
    network = make(config).to(cuda)
    ws = torch.randn(3, network.num_ws, network.w_dim, device=cuda)
    fast = FastSynthesis(network, [BlockPlan(torch.float32, own, own, phases)] * len(config.channels))
    with torch.inference_mode(), exact_convolutions():
        for mode in ("const", "none", "random"):
            wanted = network.synthesize(ws, Noise(mode, range(3)))
            limit = 5e-5 * float(wanted.abs().max())
            mine = fast.synthesize(ws, Noise(mode, range(3)))
            torch.testing.assert_close(mine, wanted, rtol=0, atol=limit)


def test_a_recording_follows_its_styles_and_is_made_anew_for_other_batches(cuda):
    network = make(dataclasses.replace(ODD[0], channels=(16, 16, 16, 16))).to(cuda)
    recorded = RecordedSynthesis(network, GraphRunner(cuda))
    with torch.inference_mode(), exact_convolutions():
        for mode, batch in itertools.product(("const", "none", "random"), (2, 2, 2, 2, 3, 3, 3, 3, 2)):
            ws = torch.randn(batch, network.num_ws, network.w_dim, device=cuda)
            mine = recorded.synthesize(ws, Noise(mode, range(batch)))
            torch.testing.assert_close(mine, network.synthesize(ws, Noise(mode, range(batch))))


def test_a_batch_is_chosen_by_measuring_memory(cuda):
    sampler = Sampler(wide(), cuda)
    assert sampler.batch == automatic_batch(128, "cuda") == 128


def test_a_batch_that_does_not_fit_is_halved_until_it_does(cuda):
    free, total = torch.cuda.mem_get_info(cuda)
    torch.cuda.empty_cache()
    used = torch.cuda.memory_reserved(cuda)
    torch.cuda.set_per_process_memory_fraction((used + (2 << 30)) / total, torch.cuda.current_device())
    try:
        sampler = Sampler(wide(), cuda, batch=2048)
        pictures = [picture for _, picture in sampler.pictures(range(3), Settings(psi=0.7))]
        assert sampler.batch < 2048
        automatic = Sampler(wide(), cuda, precision="bf16")
        assert len(list(automatic.pictures(range(3), Settings()))) == 3
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, torch.cuda.current_device())
    wanted = draw(wide(), cuda, batch=4)[:3].astype(int)
    assert np.abs(np.stack(pictures) - wanted).max() <= 1
    assert free > 2 << 30


@pytest.mark.parametrize(
    "pattern", ["sg3/*.pkl", "r3gan/*.pkl", "tf/tf_ada*.pkl", "rosinality/*.pt", "keras/**/*.h5"]
)
def test_generators_of_all_architectures_draw_the_cpu_s_pictures(cuda, pattern, shared_vectors):
    paths = sorted(shared_vectors.glob(pattern))
    assert paths
    settings = Settings(label=0, noise="none")
    for path in paths:
        mine, wanted = (
            np.stack(
                [picture for _, picture in Sampler(generator, device, 4).pictures(SEEDS, settings)]
            ).astype(int)
            for device in (cuda, torch.device("cpu"))
            for generator in [load_generator(read_checkpoint(path))]
        )
        assert (np.abs(mine - wanted) > 1).mean() <= 1e-3, path
