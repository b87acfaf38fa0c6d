"""Runs of upscalers: that they learn, go on exactly, leave a report, and what they refuse."""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metagan.errors import DivergedError, MalformedFileError, TrainingError
from metagan.evaluation.fidelity import fidelity
from metagan.networks.upscaler import UpscalerConfig, load_upscaler
from metagan.sampling.upscale import enlarge, upscale_pictures
from metagan.training.data_loader import fingerprint
from metagan.training.distributed import World
from metagan.training.options import Schedule
from metagan.training.run import Silent
from metagan.training.run_folder import RunFolder, read_training
from metagan.training.state import read_state
from metagan.training.upscaler.data import hold_out
from metagan.training.upscaler.recipe import (
    UpscalerRecipe,
    UpscalerRunConfig,
    change_recipe,
    read_upscaler_config,
    refuse_recipe_changes,
)
from metagan.training.upscaler.run import UpscalerRun
from tests.training.toy import Discs

WORLD = World(0, 1, torch.device("cpu"))
TINY = UpscalerConfig(factor=4, channels=8, blocks=1, fine_channels=8)
RECIPE = UpscalerRecipe(batch=4, crop_px=32, warmup_kimg=0.008)
SHORT = Schedule(
    total_kimg=0.032, state_kimg=0.016, metrics_kimg=0.016, snapshot_kimg=0.016, measured_pictures=2
)


@pytest.fixture(scope="module")
def discs() -> Discs:
    return Discs(40, resolution=64)


def made() -> torch.Tensor:
    return torch.from_numpy(np.stack([Discs(8, resolution=16).pixels(i) for i in range(8)]))


def make_run(
    path: Path, pictures: Discs, recipe: UpscalerRecipe = RECIPE, schedule: Schedule = SHORT, **more
):
    _, held_out = hold_out(pictures)
    config = UpscalerRunConfig(
        "discs", len(pictures), len(held_out), fingerprint(pictures), recipe, TINY, licence="CC0-1.0"
    )
    settings = {"made": made(), "measure": fidelity} | more
    return UpscalerRun(RunFolder(path), config, schedule, pictures, world=WORLD, **settings)


class Waves(Discs):
    """Smooth pictures, which an enlargement without interpolation is far from."""

    def __init__(self, count: int, resolution: int) -> None:
        super().__init__(count, resolution)
        y, x = np.mgrid[0:resolution, 0:resolution] / resolution
        for index in range(count):
            a, b, c = np.random.default_rng(index).uniform(-6, 6, (3, 3, 1, 1))
            self._pictures[index] = (128 + 100 * np.sin(np.pi * (a * x + b * y) + c)).astype(np.uint8)


def test_an_upscaler_learns_to_enlarge_pictures_that_it_hasnt_seen(tmp_path):
    recipe = dataclasses.replace(
        RECIPE, batch=8, warmup_kimg=100.0, learning_rate=0.005, ema_kimg=0.05, degradation=0.0
    )
    schedule = Schedule(0.8, 100, 100, 100, measured_pictures=2)
    run = make_run(tmp_path / "run", Waves(40, 64), recipe, schedule, made=None)
    run.train()
    measured = [line for line in run.folder.read_metrics() if "psnr" in line]
    assert [line["kimg"] for line in measured] == [0, 0.8]
    assert measured[1]["psnr"] > measured[0]["psnr"] + 6
    assert measured[1]["ssim"] > measured[0]["ssim"]


def test_a_run_that_stopped_goes_on_bit_by_bit(tmp_path, discs):
    whole = make_run(tmp_path / "whole", discs)
    whole.train()
    first = make_run(tmp_path / "parts", discs, schedule=dataclasses.replace(SHORT, total_kimg=0.016))
    first.train()
    make_run(tmp_path / "parts", discs).train()
    (want, facts), (got, same) = (
        read_state(tmp_path / name / "state.safetensors") for name in ("whole", "parts")
    )
    assert facts["seen"] == same["seen"] == 32
    assert want.keys() == got.keys()
    assert all(torch.equal(want[name], got[name]) for name in want)
    latest = [(tmp_path / name / "latest.safetensors").read_bytes() for name in ("whole", "parts")]
    assert latest[0] == latest[1]


class StopAfter(Silent):
    """Asks to stop after some steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def progress(self, seen: int, readings: Mapping[str, float]) -> None:
        self.steps -= 1

    def stop_asked(self) -> bool:
        return self.steps <= 0


def test_a_run_without_an_end_goes_on_until_it_is_asked_to_stop(tmp_path, discs):
    endless = dataclasses.replace(SHORT, total_kimg=math.inf)
    make_run(tmp_path / "run", discs, schedule=endless, watcher=StopAfter(3)).train()
    folder = RunFolder(tmp_path / "run")
    assert read_state(folder.state)[1]["seen"] == 12
    assert read_training(folder.latest)["kimg"] == 0.012
    make_run(folder.path, discs, schedule=dataclasses.replace(SHORT, total_kimg=0.012)).train()
    assert folder.snapshots()[-1].stem == "000000_012"
    assert "psnr" in read_training(folder.latest)["quality"]


def test_every_loss_takes_part_and_the_discriminator_learns(tmp_path, discs):
    run = make_run(tmp_path / "run", discs)
    before = {name: tensor.clone() for name, tensor in run.trainer.discriminator.named_parameters()}
    run.train()
    losses = {name for line in run.folder.read_metrics() for name in line if name.startswith("loss_")}
    named = ("pixel", "cycle", "perceptual", "adversarial", "real", "fake")
    assert losses == {f"loss_{name}" for name in named}
    assert all(not torch.equal(before[n], p) for n, p in run.trainer.discriminator.named_parameters())


def test_the_folder_has_upscalers_pairs_and_a_report(tmp_path, discs):
    run = make_run(tmp_path / "run", discs)
    run.train()
    files = {
        str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*") if path.is_file()
    }
    assert files >= {
        *("config.yaml", "state.safetensors", "latest.safetensors", "best.safetensors", "report.html"),
        *("snapshots/000000_032.safetensors", "sheets/000000_000.png", "sheets/000000_032.png"),
    }
    upscaler = load_upscaler(tmp_path / "run" / "latest.safetensors")
    small = enlarge(discs.pixels(0).transpose(1, 2, 0)[::4, ::4], 1, "nearest")
    assert upscale_pictures(upscaler, [small])[0].shape == (64, 64, 3)
    report = (tmp_path / "run" / "report.html").read_text()
    assert "<span>Lanczos</span>" in report
    assert report.count('<img class="sheet"') == 3
    assert "PSNR of held-out originals" in report
    assert "http" not in report.replace("http://www.w3.org", "")


@pytest.mark.parametrize(("rows", "size"), [(5, (256, 256)), (1, (176, 88))])
def test_a_report_of_large_originals_shows_fewer_or_smaller_ones(tmp_path, discs, monkeypatch, rows, size):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", rows * 4 * 64 * 64)
    schedule = dataclasses.replace(SHORT, total_kimg=0.004)
    run = make_run(tmp_path / "run", discs, schedule=schedule)
    run.train()
    with Image.open(run.folder.sheet(0.004)) as sheet:
        assert sheet.size == size
    assert '<img class="sheet"' in run.folder.report.read_text()


def test_pictures_held_out_are_never_trained_on(discs):
    learnt, held_out = hold_out(discs)
    assert (len(learnt), len(held_out)) == (38, 2)
    assert set(learnt.indices).isdisjoint(held_out.indices)
    assert np.array_equal(held_out.pixels(0), discs.pixels(38))
    _, few = hold_out(Discs(2, resolution=64))
    assert len(few) == 1


def test_other_pictures_are_refused_when_a_run_goes_on(tmp_path, discs):
    make_run(tmp_path / "run", discs).train()
    run = make_run(tmp_path / "run", discs)
    run.pictures = Discs(41, resolution=64)
    with pytest.raises(TrainingError, match=r"(?s)started with other pictures .*fix: give those again"):
        run.train()


def test_another_recipe_is_refused_by_name(tmp_path, discs):
    config = make_run(tmp_path / "run", discs).config
    asked = dataclasses.replace(config, recipe=dataclasses.replace(RECIPE, batch=5, seed=3))
    refuse_recipe_changes(config, asked, frozenset({"learning_rate"}))
    with pytest.raises(
        TrainingError, match="batch: this run has 4, asked for 5; seed: this run has 0, asked for 3"
    ):
        refuse_recipe_changes(config, asked, frozenset({"batch", "seed", "factor"}))
    terms = dataclasses.replace(config, licence="MIT", source="elsewhere")
    with pytest.raises(
        TrainingError, match=r"licence: this run has CC0-1\.0, asked for MIT; source: .* for elsewhere"
    ):
        refuse_recipe_changes(config, terms, frozenset({"licence", "source"}))


def test_a_damaged_config_or_state_is_refused(tmp_path, discs):
    run = make_run(tmp_path / "run", discs)
    run.train()
    run.folder.config.write_text("data: 3\n")
    with pytest.raises(TrainingError, match="not the file of an upscaler's run"):
        read_upscaler_config(run.folder)
    other = make_run(tmp_path / "other", discs)
    other.config = dataclasses.replace(other.config, upscaler=dataclasses.replace(TINY, channels=6))
    other.__post_init__()
    other.folder.path.mkdir()
    other.folder.state.write_bytes(run.folder.state.read_bytes())
    with pytest.raises(MalformedFileError, match="no state of this run"):
        other.train()


def test_a_run_whose_state_is_damaged_goes_on_from_the_one_before_it(tmp_path, discs):
    make_run(tmp_path / "whole", discs).train()
    make_run(tmp_path / "run", discs).train()
    folder = RunFolder(tmp_path / "run")
    folder.state.write_bytes(folder.state.read_bytes()[:1000])
    said: list[str] = []
    run = make_run(tmp_path / "run", discs)
    run.watcher.say = said.append
    run.train()
    assert "state.previous.safetensors" in said[0]
    assert said[1].endswith("goes on at 0.016 kimg")
    one, other = (read_state(tmp_path / name / "state.safetensors")[0] for name in ("whole", "run"))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_a_run_goes_on_with_more_originals_and_another_batch(tmp_path, discs):
    first = make_run(tmp_path / "run", discs, measure=lambda *_: {"psnr": 50.0})
    first.train()
    best = first.folder.best.read_bytes()
    more = Discs(60, resolution=64)
    asked = make_run(tmp_path / "run", more, dataclasses.replace(RECIPE, batch=2, mirror=True)).config
    given = frozenset({"batch", "mirror"})
    with pytest.raises(TrainingError, match="add --change to go on"):
        refuse_recipe_changes(first.config, asked, given)
    refuse_recipe_changes(first.config, asked, given, change=True)
    config = change_recipe(read_upscaler_config(first.folder), asked, given, 32)
    schedule = dataclasses.replace(SHORT, total_kimg=0.036)
    run = UpscalerRun(first.folder, config, schedule, more, made(), WORLD, lambda *_: {"psnr": 1.0})
    run.train()
    assert (run.trainer.seen, run.trainer.steps) == (36, 10)
    (change,) = read_upscaler_config(run.folder).changes
    assert (change.at_kimg, change.was["pictures"], change.now["pictures"]) == (0.032, 40, 60)
    assert (change.was["batch"], change.now["batch"], change.now["mirror"]) == (4, 2, True)
    assert "<td>held_out</td>" in run.folder.report.read_text()
    assert (run.folder.path / "best.until-000000_032.safetensors").read_bytes() == best
    run.folder.best.write_bytes(best)  # as from an archive
    config, schedule = read_upscaler_config(run.folder), dataclasses.replace(SHORT, total_kimg=0.038)
    UpscalerRun(run.folder, config, schedule, more, made(), WORLD, lambda *_: {"psnr": 2.0}).train()
    assert read_training(run.folder.best)["kimg"] == 0.038


def test_losses_that_are_no_numbers_end_the_run_and_keep_the_last_state(tmp_path, discs):
    run = make_run(tmp_path / "run", discs)
    run.train()
    good = run.folder.state.read_bytes()
    again = make_run(tmp_path / "run", discs, schedule=dataclasses.replace(SHORT, total_kimg=0.064))

    class Poison(Silent):
        def progress(self, seen, readings):
            with torch.no_grad():
                again.trainer.upscaler.last.bias.fill_(float("nan"))

    again.watcher = Poison()
    with pytest.raises(DivergedError, match="lower --lr"):
        again.train()
    assert run.folder.state.read_bytes() == good


def test_a_second_process_is_refused_in_the_same_folder(tmp_path, discs):
    run = make_run(tmp_path / "run", discs)

    class Rival(Silent):
        def stop_asked(self) -> bool:
            with pytest.raises(TrainingError, match="another process trains here"):
                make_run(tmp_path / "run", discs).train()
            return True

    run.watcher = Rival()
    run.train()
    assert json.loads(run.folder.metrics.read_text().splitlines()[0])["kimg"] == 0
