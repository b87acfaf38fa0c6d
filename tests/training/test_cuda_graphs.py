"""What plays a step's parts: with a stand-in for CUDA graphs here, with real ones in test_gpu.py."""

import contextlib
import weakref

import pytest
import torch

from metagan.training import trainer as trainer_module
from metagan.training.cuda_graphs import WARM_UPS, Recorder
from metagan.training.data_loader import Feed
from metagan.training.distributed import World
from metagan.training.setup import begin
from metagan.training.trainer import Trainer
from tests.training import toy
from tests.training.toy import Discs

WORLD = World(0, 1, torch.device("cpu"))


class StandIn(Recorder):
    """Records as a GPU would; a replay is refused where anything that the part reads or writes has moved since."""

    trainer: weakref.ref

    def __init__(self, source, *, records=True):
        super().__init__(source, records=False)
        self.records = records
        self.replays = 0

    def stream(self):
        return contextlib.nullcontext()

    def _record(self, part):
        return Replay(self, part)


class Replay:
    def __init__(self, recorder, part):
        self.recorder, self.part = recorder, part
        self.places = places(recorder.trainer())

    def replay(self):
        now = places(self.recorder.trainer())
        moved = {name for name in now.keys() & self.places.keys() if now[name] != self.places[name]}
        assert not moved
        self.recorder.replays += 1
        self.part()


def places(trainer: Trainer) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Where everything lies that lasts from step to step, or is handed to a part, with its shape."""
    reals = {"images": trainer._reals.images}
    if trainer._reals.labels is not None:
        reals["labels"] = trainer._reals.labels
    lasting = trainer.tensors() | trainer.meter._sums | {"signs": trainer._signs}
    everything = lasting | trainer._drawn | reals
    return {name: (tensor.data_ptr(), tuple(tensor.shape)) for name, tensor in everything.items()}


@pytest.fixture
def make(monkeypatch):
    """A trainer whose parts are recorded by the stand-in, or only called."""

    def made(*, records=True, classes=0, **asked) -> Trainer:
        monkeypatch.setattr(trainer_module, "Recorder", StandIn if records else Recorder)
        options = toy.change(toy.OPTIONS, augment_groups=("blit", "geometry", "colour"), **asked)
        pictures = Discs(32, classes=classes)
        config, networks = begin(options, pictures, WORLD)
        trainer = Trainer(config.recipe, networks, Feed(pictures, 0, mirror=False), WORLD)
        if records:
            trainer._recorder.trainer = weakref.ref(trainer)
        return trainer

    return made


@pytest.mark.parametrize(
    "asked",
    [
        {"augmentation": "none"},
        {"augment_p": 0.3, "augmentation": "fixed"},
        {"augment_p": 0.3, "augmentation": "fixed", "classes": 3},
        {"augment_p": 0.3, "augmentation": "fixed", "micro_batch": 4},
        {"augment_p": 0.3, "augmentation": "fixed", "d_warmup_kimg": 0.08},  # ten steps
        {"augment_p": 0.002, "augment_kimg": 16.0},  # falls to 0 and rises again
    ],
)
def test_what_a_recorded_part_reads_and_writes_stays_in_its_place(make, asked):
    recorded, plain = make(**asked), make(records=False, **asked)
    for _ in range(52):  # R1's turn comes every 16 steps
        recorded.step()
        plain.step()
    kinds = {name if isinstance(name, str) else name[0] for name in recorded._recorder._graphs}
    assert kinds >= {"both", "paths", "r1"}
    assert recorded._recorder.replays > 40
    for name, tensor in recorded.tensors().items():
        assert torch.equal(tensor, plain.tensors()[name]), name


def test_recordings_are_forgotten_with_the_state_that_they_were_made_for(make):
    trainer = make(augment_p=0.3)
    for _ in range(WARM_UPS + 2):
        trainer.step()
    kept = {name: tensor.clone() for name, tensor in trainer.tensors().items()}, trainer.facts()
    trainer.step()
    after = {name: tensor.clone() for name, tensor in trainer.tensors().items()}
    trainer.restore(*kept)
    assert not trainer._recorder._graphs
    trainer.step()
    assert all(torch.equal(tensor, after[name]) for name, tensor in trainer.tensors().items())


def test_on_a_processor_a_part_is_called_each_time():
    recorder, calls = Recorder(torch.Generator()), []
    for _ in range(WARM_UPS + 3):
        with recorder.stream():
            recorder.play("part", lambda: calls.append(1))
    assert not recorder.records
    assert len(calls) == WARM_UPS + 3


def test_on_a_processor_an_input_is_the_very_tensor():
    value = torch.ones(3)
    assert Recorder(torch.Generator()).hold("input", value) is value
