"""Recorded training steps: as operations recorded on the CPU here, as CUDA graphs in test_gpu.py."""

import pytest
import torch

from metagan.sampling.cuda_graphs import WARM_UPS
from metagan.training.data_loader import DataLoader
from metagan.training.distributed import World
from metagan.training.setup import begin
from metagan.training.trainer import Trainer
from tests.cpu_graphs import CpuGraphs
from tests.training import toy
from tests.training.toy import Discs

WORLD = World(0, 1, torch.device("cpu"))
GROUPS = ("blit", "colour", "noise", "cutout")  # "geometry" looks at values on the CPU, though not on a GPU


def make(capture: CpuGraphs | None = None, *, classes: int = 0, **asked) -> Trainer:
    options = toy.change(toy.OPTIONS, augment_groups=GROUPS, **asked)
    pictures = Discs(32, classes=classes)
    config, networks = begin(options, pictures, WORLD)
    data_loader = DataLoader(pictures, 0, mirror=False)
    trainer = Trainer(config.recipe, networks, data_loader, WORLD, capture=capture)
    # As on a GPU: steps are counted and rates read where weights are.
    for adam in (trainer.adam_g, trainer.adam_d):
        for group in adam.param_groups:
            group |= {"fused": True, "lr": torch.tensor(group["lr"])}
    return trainer


def values(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.tensors().items()}


def differing(trainer: Trainer, wanted: dict[str, torch.Tensor]) -> list[str]:
    got = trainer.tensors()
    assert got.keys() == wanted.keys()
    return [name for name, tensor in got.items() if not torch.equal(tensor, wanted[name])]


@pytest.mark.parametrize(
    "asked",
    [
        {"augmentation": "none"},
        {"augment_p": 0.3, "augmentation": "fixed", "classes": 3, "micro_batch": 4},
        {"augment_p": 0.3, "augmentation": "fixed", "d_warmup_kimg": 0.04},  # five steps
        {"augment_p": 0.002, "augment_kimg": 16.0},  # falls to 0 and rises again
    ],
)
def test_recorded_steps_do_what_unrecorded_ones_do(asked):
    captured = CpuGraphs()
    recorded, plain = (make(one, r1_interval=4, **asked) for one in (captured, None))
    for _ in range(12):  # the last of R1's three turns is replayed
        recorded.step()
        plain.step()
    assert captured.replays >= (4 if "d_warmup_kimg" in asked else 8)
    assert not differing(recorded, values(plain))
    assert recorded.facts() == plain.facts()
    assert recorded.meter.read() == plain.meter.read()


def test_a_recording_does_not_outlive_the_state_that_it_was_made_for():
    captured = CpuGraphs()
    trainer = make(captured, augment_p=0.3)
    for _ in range(WARM_UPS + 2):
        trainer.step()
    kept = values(trainer), trainer.facts()
    trainer.step()
    after = values(trainer)
    trainer.restore(*kept)
    replays = captured.replays
    trainer.step()
    assert captured.replays == replays
    assert not differing(trainer, after)


def test_a_part_that_reads_a_tensor_elsewhere_is_found_out():
    """The stand-in would notice: inputs that move are read where they were."""
    captured = CpuGraphs()
    trainer, plain = make(captured, augmentation="none"), make(augmentation="none")
    trainer.inputs.fixed = False
    for _ in range(WARM_UPS + 2):
        trainer.step()
        plain.step()
    assert differing(trainer, values(plain))
