"""`make weights`, from drawing a collection to the shipped file, at a size that takes seconds."""

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from metagan.checkpoints.read import read_checkpoint
from metagan.cli import metagan as command
from metagan.collection.table import open_table
from metagan.datasets.source import PictureSource
from metagan.errors import OptionError
from metagan.networks.loading.detect import load_generator
from metagan.networks.upscaler import load_upscaler
from metagan.training.options import Recipe
from metagan.training.run_folder import RunFolder, read_config

SCRIPT = Path(__file__).parents[2] / "scripts" / "weights.py"


def metagan(*words: object) -> str:
    """What a command prints, run in this process: ten imports of torch would take half a minute."""
    result = CliRunner().invoke(command, [*map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def script(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("weights_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    recipe = ("--preset", "tiny", "--batch", "8", "--threads", "1", "--measure", "24", "--licence", "CC0-1.0")
    stages = (
        module.Stage(0.032, {"--gamma": 1}),
        module.Stage(0.048, latents=("--width", 96)),
        module.Stage(0.064, {"--lr": 0.0025}, ("--strength", 2)),
    )
    small = {
        "RECIPES": {"apes": recipe},
        "RESOLUTION": 16,
        "PICTURES": 48,
        "EARLY_KIMG": 0.032,
        "SNAPSHOT_KIMG": 0.016,
        "STAGES": {"apes": stages},
        "UPSCALERS": {"apes-x4": (24, 0.016)},
        "ORIGINALS_RESOLUTION": 64,
    }
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)  # the same on every machine
    monkeypatch.setattr(module, "metagan", metagan)
    paths = {
        "RESULTS": tmp_path / "weights.json",
        "UPSCALER_RESULTS": tmp_path / "upscalers.json",
        "SHIPPED": tmp_path,
    }
    for name, value in (small | paths).items():
        monkeypatch.setattr(module, name, value)
    options = ("--runs", tmp_path / "runs", "--count", "24", "--device", "cpu")
    monkeypatch.setattr(sys, "argv", ["weights.py", *map(str, options), "apes"])
    return module


def test_one_command_draws_trains_measures_and_ships(script, tmp_path, monkeypatch):
    script.main()
    assert len(PictureSource(tmp_path / "runs" / "apes.zip", 16)) == 48
    checkpoint = read_checkpoint(tmp_path / "apes.safetensors")
    generator = load_generator(checkpoint)
    assert (generator.resolution, generator.z_dim) == (16, 96)
    recorded = json.loads((tmp_path / "weights.json").read_text())["apes"]
    told = checkpoint.header.training["evaluation"]
    assert recorded == told | {"size_bytes": (tmp_path / "apes.safetensors").stat().st_size}
    assert told["kimg"] == 0.064
    assert checkpoint.header.training["stages"][1] == {
        "until_kimg": 0.048,
        "pace": {},
        "latents": ["--width", 96],
    }
    assert set(told["made"]) == set(told["floor"]) == set(told["at_0.032_kimg"])
    assert checkpoint.header.source.endswith("(metagan dataset render apes)")
    snapshots = {path.stem for path in (tmp_path / "runs" / "apes" / "snapshots").iterdir()}
    assert snapshots == {f"000000_{kimg:03}" for kimg in (0, 16, 32, 48, 64)}
    run = read_config(RunFolder(tmp_path / "runs" / "apes"))
    assert (run.recipe.learning_rate, [rate.until_kimg for rate in run.former_rates]) == (0.0025, [0.048])

    monkeypatch.setattr(sys, "argv", [*sys.argv[:-1], "apes-x4"])
    script.main()
    upscaler = load_upscaler(tmp_path / "apes-x4.safetensors")
    measured = json.loads((tmp_path / "upscalers.json").read_text())["apes-x4"]
    assert upscaler.config.factor == 4
    assert (measured["kimg"], measured["quality"].keys() >= {"psnr", "lanczos_psnr"}) == (0.016, True)
    monkeypatch.setattr(sys, "argv", [*sys.argv[:-1], "apes"])

    script.main()  # again: nothing is left to train, and the same is shipped
    assert json.loads((tmp_path / "weights.json").read_text())["apes"] == recorded


def test_a_style_of_dicebear_is_drawn_with_its_traits_and_packed(script, tmp_path):
    script.draw("planets", tmp_path / "planets.zip", 3, 32)
    assert len(PictureSource(tmp_path / "planets.zip", 32)) == 3
    assert len(open_table(tmp_path / "planets-collection").traits) > 3
    assert "DiceBear's style planets" in script.source_of("planets")


@pytest.mark.parametrize(
    ("seen", "changed_at", "stands"), [(521_152, 0, True), (521_152, 521_152, False), (521_168, 0, False)]
)
def test_latents_are_changed_once_where_a_stage_begins(
    script, tmp_path, monkeypatch, seen, changed_at, stands
):
    facts = {"seen": seen, script.CHANGED_AT: changed_at}
    monkeypatch.setattr(script, "read_state", lambda path: ({}, facts))
    monkeypatch.setattr(script, "read_config", lambda run: SimpleNamespace(recipe=Recipe(batch=16)))
    begins = round(521.152 * 1000)  # the product is no whole number
    assert script._stands_at(RunFolder(tmp_path), begins) is stands


def test_inception_is_left_out_where_none_is_at_hand_and_never_silently_where_it_was_named(
    script, capsys, tmp_path
):
    assert script.inception_options("auto") == ()
    assert "without FID and KID" in capsys.readouterr().err
    with pytest.raises(OptionError, match="--inception"):
        script.inception_options(str(tmp_path / "weights.pth"))
