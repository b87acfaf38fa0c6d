"""Training on a CUDA device: the processor's numbers, nothing that waits for the device, and going on."""

import pytest
import torch

from metagan.networks import ops
from metagan.training.augment import GROUPS
from metagan.training.distributed import World
from metagan.training.options import Schedule
from metagan.training.run import Run
from metagan.training.run_folder import RunFolder
from metagan.training.setup import begin, networks_for_resume
from metagan.values import Size
from tests.training import toy
from tests.training.toy import Discs

pytestmark = pytest.mark.gpu

OPTIONS = toy.change(toy.OPTIONS, augment_p=0.3)


@pytest.fixture
def world() -> World:
    return World(0, 1, torch.device("cuda"))


@pytest.fixture(autouse=True)
def exact():
    """Float32 products as the processor has them, and convolutions that add in one order."""
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32, cudnn.deterministic
    cudnn.allow_tf32, cudnn.deterministic = False, True
    yield
    cudnn.allow_tf32, cudnn.deterministic = before


def run(path, world, total_kimg, options=OPTIONS, *, classes=0, records=True) -> Run:
    pictures = Discs(64, classes=classes)
    schedule = Schedule(total_kimg, 100, 100, 100)
    config, networks = begin(options, pictures, world)
    if RunFolder(path).state.exists():
        networks = networks_for_resume(config)
    made = Run(RunFolder(path), config, schedule, pictures, networks, world, records=records)
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
    drawn = GROUPS[name].draw(8, Size.square(32), 0.7, torch.Generator().manual_seed(2))
    want, got = (
        GROUPS[name].apply(images.to(device), drawn.to(device), torch.Generator(device))
        for device in ("cpu", "cuda")
    )
    assert torch.allclose(got.cpu(), want, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("records", [False, True])
@pytest.mark.parametrize("classes", [0, 3])
def test_a_step_never_waits_for_the_device(tmp_path, world, records, classes):
    options = toy.change(OPTIONS, augmentation="fixed")
    trainer = run(tmp_path / "run", world, 0.4, options, classes=classes, records=records).trainer
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):  # all regularisers have their turn
            trainer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def far(networks, others) -> float:
    """The largest relative distance of two runs' weights, over all tensors."""
    pairs = zip(networks.tensors().values(), others.tensors().values(), strict=True)
    return max(float((one - other).norm() / (one.norm() + 1e-3)) for one, other in pairs)


# Of transforms, gradients are added in any order: two unrecorded runs were 0.33 apart with them (0 without), a recorded
# one 0.84 from an unrecorded one (0), and one with another seed 4.7.
@pytest.mark.parametrize(
    ("p", "groups", "tolerance"),
    [(0.0, tuple(GROUPS), 1e-3), (0.3, ("colour", "noise", "cutout"), 1e-3), (0.3, tuple(GROUPS), 2.0)],
)
@pytest.mark.parametrize("classes", [0, 3])
def test_recorded_steps_do_what_unrecorded_ones_do(tmp_path, world, p, groups, tolerance, classes):
    options = toy.change(OPTIONS, augmentation="fixed", augment_p=p, augment_groups=groups)
    recorded, plain = (
        run(tmp_path / str(records), world, 0.4, options, classes=classes, records=records)
        for records in (True, False)
    )
    assert recorded.trainer.records
    assert not plain.trainer.records
    assert recorded.readings.keys() == plain.readings.keys()
    assert far(recorded.networks, plain.networks) <= tolerance


def test_a_run_goes_on_where_it_stopped(tmp_path, world):
    options = toy.change(OPTIONS, augmentation="none")
    whole = run(tmp_path / "whole", world, 0.4, options)
    run(tmp_path / "parts", world, 0.2, options)
    parts = run(tmp_path / "parts", world, 0.4, options)
    assert parts.trainer.steps == whole.trainer.steps == 50
    assert far(whole.networks, parts.networks) <= 1e-3


def test_half_precision_trains(tmp_path, world):
    made = run(tmp_path / "run", world, 0.2, toy.change(OPTIONS, precision="bf16"))
    assert all(tensor.isfinite().all() for tensor in made.networks.tensors().values())
