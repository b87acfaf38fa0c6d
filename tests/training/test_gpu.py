"""Training on a CUDA device: the processor's numbers, nothing that waits for the device, and going on."""

import dataclasses

import pytest
import torch

from metagan.networks import ops
from metagan.training.augment import GROUPS
from metagan.training.folder import RunFolder
from metagan.training.plan import again, begin
from metagan.training.run import Run
from metagan.training.schedule import Schedule
from metagan.training.world import World
from tests.training import toy
from tests.training.toy import Discs

pytestmark = pytest.mark.gpu

OPTIONS = dataclasses.replace(toy.OPTIONS, augment_p=0.3)


@pytest.fixture
def world() -> World:
    return World(0, 1, torch.device("cuda"))


@pytest.fixture(autouse=True)
def exact():
    """Float32 products as the processor has them."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def run(path, world, total_kimg, options=OPTIONS) -> Run:
    pictures = Discs(64)
    schedule = Schedule(total_kimg, 100, 100, 100)
    config, networks = begin(options, pictures, world)
    if RunFolder(path).state.exists():
        networks = again(config)
    made = Run(RunFolder(path), config, schedule, pictures, networks, world)
    made.train()
    return made


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_resampling_convolution_gives_what_the_processor_gives(direction):
    source = torch.Generator().manual_seed(0)
    x, weight, taps = (torch.randn(s, generator=source) for s in ((2, 16, 8, 8), (24, 16, 3, 3), (4, 4)))
    want = ops.convolve(x, weight, **{f"{direction}_taps": taps})
    got = ops.convolve(x.cuda(), weight.cuda(), **{f"{direction}_taps": taps.cuda()})
    assert torch.allclose(got.cpu(), want, atol=1e-3)


@pytest.mark.parametrize("name", [name for name in GROUPS if name != "noise"])
def test_augmentation_gives_what_the_processor_gives(name):
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    want, got = (
        GROUPS[name](images.to(device), 0.7, torch.Generator().manual_seed(2)) for device in ("cpu", "cuda")
    )
    assert torch.allclose(got.cpu(), want, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_a_step_never_waits_for_the_device(tmp_path, world):
    trainer = run(tmp_path / "run", world, 0.032, dataclasses.replace(OPTIONS, augmentation="fixed")).trainer
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):  # all regularisers have their turn
            trainer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_run_goes_on_where_it_stopped(tmp_path, world):
    whole = run(tmp_path / "whole", world, 0.4)
    run(tmp_path / "parts", world, 0.2)
    parts = run(tmp_path / "parts", world, 0.4)
    assert parts.trainer.steps == whole.trainer.steps == 50
    for name, tensor in whole.networks.tensors().items():
        other = parts.networks.tensors()[name]
        assert (tensor - other).norm() <= 0.05 * tensor.norm() + 1e-4, (
            name
        )  # sums on a GPU have no fixed order


def test_half_precision_trains(tmp_path, world):
    made = run(tmp_path / "run", world, 0.2, dataclasses.replace(OPTIONS, precision="bfloat16"))
    assert all(tensor.isfinite().all() for tensor in made.networks.tensors().values())
