"""One generator against two discriminators, each with its own collection."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from metagan.cli import metagan
from metagan.errors import OptionError, TrainingError
from metagan.lab.rank import read_discriminator
from metagan.training.distributed import World
from metagan.training.options import Schedule, TrainOptions
from metagan.training.run import Run
from metagan.training.run_folder import RunFolder, read_config
from metagan.training.setup import begin, networks_for_resume
from metagan.training.trainer import join_losses
from tests.training.toy import AUTOMATIC, OPTIONS, Discs, change, write_folder

WORLD = World(0, 1, torch.device("cpu"))
SHORT = Schedule(total_kimg=0.032, state_kimg=0.016, metrics_kimg=0.008, snapshot_kimg=0.016)
DUAL = change(OPTIONS, dual=Path("other"), augmentation="fixed", augment_p=0.3)


class Squares(Discs):
    """Another collection: the discs' pictures upside down and darker."""

    def pixels(self, index: int):
        return super().pixels(index)[:, ::-1] // 2


def make_run(path: Path, options: TrainOptions = DUAL, schedule: Schedule = SHORT) -> Run:
    pictures, second = Discs(24), Squares(16)
    config, networks = begin(options, pictures, WORLD, second)
    return Run(RunFolder(path), config, schedule, pictures, networks, WORLD, second=second)


def test_and_is_the_larger_loss_of_each_picture_and_mean_the_mean():
    one, other = torch.tensor([[1.0], [4.0]]), torch.tensor([[3.0], [2.0]])
    assert join_losses([one, other], "and").tolist() == [[3], [4]]
    assert join_losses([one, other], "mean").tolist() == [[2], [3]]
    assert join_losses([one], "and") is one


def test_with_and_a_generator_learns_only_from_the_stricter_discriminator():
    logits = torch.tensor([[2.0, -1.0], [-3.0, 0.5]], requires_grad=True)
    join_losses(list(torch.nn.functional.softplus(-logits).split(1, dim=1)), "and").sum().backward()
    assert (logits.grad != 0).tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize("architecture", ["stylegan2", "dcgan"])
@pytest.mark.parametrize("join", ["and", "mean"])
def test_each_discriminator_learns_its_own_collection_and_the_run_says_so(tmp_path, architecture, join):
    options = change(change(AUTOMATIC, batch=8), dual=Path("other"), architecture=architecture, join=join)
    run = make_run(tmp_path / "run", options)
    before = {name: tensor.clone() for name, tensor in run.networks.tensors().items()}
    assert not torch.equal(before["discriminator/" + weight_of(run)], before["second/" + weight_of(run)])
    run.train()
    after = run.networks.tensors()
    for role in ("discriminator", "second"):
        assert not torch.equal(after[f"{role}/{weight_of(run)}"], before[f"{role}/{weight_of(run)}"])
        read = read_discriminator(tmp_path / "run", second=role == "second").state_dict()
        assert all(torch.equal(read[name], after[f"{role}/{name}"]) for name in read)
    first, second = (adversary.data_loader.pictures for adversary in run.trainer.adversaries)
    assert (type(first), type(second)) == (Discs, Squares)
    (line, *_) = [line for line in run.folder.read_metrics() if "loss_g" in line]
    assert line["loss_real"] != line["loss_real_second"]
    config = read_config(run.folder)
    assert (config.dual.data, config.dual.pictures, config.recipe.join) == ("other", 16, join)
    report = run.folder.report.read_text()
    assert ("larger loss counts (AND)" if join == "and" else "mean counts") in report
    assert "of the second collection" in report
    assert run.folder.second_reals.exists()


def weight_of(run: Run) -> str:
    return next(name for name, _ in run.networks.discriminator.named_parameters() if name.endswith("weight"))


def test_a_resumed_run_equals_an_undisturbed_one(tmp_path):
    whole = make_run(tmp_path / "whole", schedule=Schedule(0.048, 100, 100, 100))
    whole.train()
    make_run(tmp_path / "half").train()
    config = read_config(RunFolder(tmp_path / "half"))
    networks = networks_for_resume(config)
    folder, pictures = RunFolder(tmp_path / "half"), Discs(24)
    rest = Run(folder, config, whole.schedule, pictures, networks, WORLD, second=Squares(16))
    rest.train()
    ours, theirs = whole.trainer.tensors(), rest.trainer.tensors()
    assert ours.keys() == theirs.keys()
    assert any(name.startswith("adam_second/") for name in ours)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    other = Run(folder, config, Schedule(0.056), pictures, networks, WORLD, second=Squares(17))
    with pytest.raises(TrainingError, match="other pictures"):
        other.train()


def test_a_run_that_starts_from_such_a_state_begins_the_second_discriminator_anew(tmp_path):
    first = make_run(tmp_path / "first")
    first.train()
    run = make_run(tmp_path / "run", change(DUAL, start=first.folder.state))
    run.begin()
    one, second = run.trainer.adversaries
    assert one.adam.state
    assert not second.adam.state


def test_what_can_not_be_is_refused():
    wide = Squares(8, resolution=32)
    with pytest.raises(OptionError, match=r"--dual: its pictures are 32x32 pixels, the others 16x16"):
        begin(DUAL, Discs(8), WORLD, wide)
    with pytest.raises(OptionError, match="--freeze-d: of no use with --dual"):
        begin(change(DUAL, freeze_d=1), Discs(8), WORLD, Squares(8))
    with pytest.raises(OptionError, match="--join: of no use without --dual"):
        begin(change(AUTOMATIC, join="mean"), Discs(8), WORLD)


def test_the_command_measures_both_and_wants_both_again(tmp_path):
    data, other = write_folder(tmp_path / "discs", 16), write_folder(tmp_path / "more", 20)
    words = ["train", data, "--out", tmp_path / "run", "--threads", "1", "--device", "cpu", "--measure", "16"]

    def call(*more: object):
        return CliRunner().invoke(metagan, [*map(str, words), *map(str, more)])

    begun = call("--dual", other, "--join", "mean", "--preset", "tiny", "--batch", "8", "--kimg", "0.008")
    assert begun.exit_code == 0, begun.exception
    measured = RunFolder(tmp_path / "run").read_metrics()[0]
    assert measured["distance"] == pytest.approx(
        (measured["first_distance"] + measured["second_distance"]) / 2, rel=1e-4
    )
    assert "give the second one's pictures again, --dual" in call("--kimg", "0.016").exception.fix
    assert call("--dual", other, "--kimg", "0.016").exit_code == 0
    assert "join: this run has mean, asked for and" in str(call("--dual", other, "--join", "and").exception)
