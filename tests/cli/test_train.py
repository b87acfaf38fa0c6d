"""`metagan train` as a user meets it."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from metagan.checkpoints.read import read_checkpoint
from metagan.cli import metagan
from metagan.cli.train import command
from metagan.errors import DatasetError, OptionError, TrainingError
from metagan.training.report import spread
from metagan.training.run_folder import FormerPace, RunFolder, read_config
from metagan.values import LabelSpace
from tests.training.toy import write_folder

QUICK = ("--preset", "tiny", "--batch", "8", "--threads", "1", "--device", "cpu", "--kimg", "0.016")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "discs", count=48)


def train(*words: object):
    return CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=True)


def test_a_run_says_where_its_weights_are_and_measures_them(data, tmp_path):
    out = tmp_path / "run [/v2]:smile:"  # as it is, whatever brackets and colons mean elsewhere
    result = train(
        data, "--out", out, *QUICK, "--measure", "16", "--licence", "CC0-1.0", "--metrics-every", "0.008"
    )
    assert result.exit_code == 0, result.exception
    assert result.stdout == f"{out}/latest.safetensors: 0.016 kimg; look at {out}/report.html\n"
    begins, first, rate = result.stderr.splitlines()  # a file or pipe gets lines from the start on
    assert begins == f"{out}: begins with 48 pictures of 16x16 pixels, on cpu"
    assert first.startswith("0.008 kimg: distance")
    assert re.match(r"0\.016 kimg: [0-9.]+/s, G ", rate)
    measured = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    quality = [line for line in measured if "distance" in line]
    assert [line["kimg"] for line in quality] == [0, 0.016]
    assert all(line["floor_distance"] < line["distance"] for line in quality)


def test_a_finished_run_goes_on_when_asked_for_more(data, tmp_path):
    out = tmp_path / "run"
    train(data, "--out", out, *QUICK, "--measure", "0")
    result = train(data, "--out", out, "--kimg", "0.024", "--measure", "0", "--threads", "1")
    assert result.exit_code == 0, result.exception
    assert "0.024 kimg" in result.output


def test_a_run_refuses_to_become_another(data, tmp_path):
    out = tmp_path / "run"
    train(data, "--out", out, *QUICK, "--measure", "0")
    result = train(data, "--out", out, *QUICK, "--style-mixing", "0.5", "--batch", "4")
    assert isinstance(result.exception, OptionError)
    assert "batch: this run has 8, asked for 4" in str(result.exception)
    assert "style_mixing: this run has 0.0, asked for 0.5" in str(result.exception)


def test_a_run_takes_in_other_pictures_when_told_to(data, tmp_path):
    out, more = tmp_path / "run", write_folder(tmp_path / "more", count=56)
    train(data, "--out", out, *QUICK, "--measure", "0")
    words = ("--out", out, "--kimg", "0.024", "--measure", "0", "--threads", "1", "--batch", "4", "--mirror")
    refused = train(more, *words)
    assert "add --change" in refused.exception.fix
    result = train(more, *words, "--change")
    assert result.exit_code == 0, result.exception
    assert "changed at 0.016 kimg: " in result.stderr
    (change,) = read_config(RunFolder(out)).changes
    assert (change.now["pictures"], change.now["batch"], change.now["mirror"]) == (56, 4, True)
    assert train(more, "--out", out, "--kimg", "0.028", "--measure", "0", "--threads", "1").exit_code == 0


def test_the_names_of_classes_travel_from_folders_into_the_weights(tmp_path):
    pictures = tmp_path / "pictures"
    for name in ("red", "grün"):
        write_folder(pictures / name, 8)
    packed = tmp_path / "data.zip"
    words = ["dataset", "pack", pictures, "--out", packed, "--resolution", "16", "--labels", "folders"]
    assert CliRunner().invoke(metagan, [*map(str, words), "--workers", "0"]).exit_code == 0
    out = tmp_path / "run"
    assert train(packed, "--out", out, *QUICK, "--measure", "0").exit_code == 0
    assert read_config(RunFolder(out)).labels == LabelSpace(("grün", "red"))
    for kimg in ("0.016", "0.024"):
        assert train(packed, "--out", out, "--kimg", kimg, "--measure", "0", "--threads", "1").exit_code == 0
        header = read_checkpoint(out / "latest.safetensors").header
        assert header.labels == LabelSpace(("grün", "red"))
    with zipfile.ZipFile(packed) as archive, zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        for name in archive.namelist():
            other.writestr(name, archive.read(name).replace(b"red", b"tan"))
    result = train(tmp_path / "other.zip", "--out", out, "--kimg", "0.032", "--measure", "0", "--change")
    assert "class 1 of these pictures is tan, this run's is red" in str(result.exception)
    write_folder(pictures / "zebra", 8)
    words[4] = tmp_path / "more.zip"
    assert CliRunner().invoke(metagan, [*map(str, words), "--workers", "0"]).exit_code == 0
    result = train(tmp_path / "more.zip", "--out", out, "--kimg", "0.032", "--measure", "0", "--change")
    assert "networks are made for 16x16 pixels and 2 classes" in str(result.exception)


def test_labels_that_are_numbers_travel_with_their_ranges(data, tmp_path):
    names = sorted(path.name for path in data.iterdir())
    labels = [[name, [index / 4, -index]] for index, name in enumerate(names)]
    (data / "dataset.json").write_text(json.dumps({"labels": labels, "label_names": ["age", "tilt"]}))
    assert train(data, "--out", tmp_path / "run", *QUICK, "--measure", "0").exit_code == 0
    last = len(names) - 1
    ranges = ((0.0, last / 4), (-float(last), 0.0))
    header = read_checkpoint(tmp_path / "run" / "latest.safetensors").header
    assert header.labels == LabelSpace(("age", "tilt"), ranges)


def test_a_runs_pace_may_change_when_it_goes_on(data, tmp_path):
    out, pace = tmp_path / "run", ("--lr", "0.002", "--lr-decay", "0.016", "--gamma", "0.1")
    train(data, "--out", out, *QUICK, "--measure", "0")
    for kimg in ("0.024", "0.032"):
        result = train(data, "--out", out, "--measure", "0", "--threads", "1", "--kimg", kimg, *pace)
        assert result.exit_code == 0, result.exception
    config = read_config(RunFolder(out))
    recipe = config.recipe
    assert (recipe.learning_rate, recipe.lr_decay_kimg, recipe.gamma) == (0.002, 0.016, 0.1)
    assert config.former_rates == (FormerPace(0.016, 0.01, 20, 0.64),)
    facts = read_checkpoint(out / "latest.safetensors").header.training
    former = {"until_kimg": 0.016, "learning_rate": 0.01, "lr_decay_kimg": 20, "gamma": 0.64}
    assert facts["former_rates"] == [former]


def test_a_wrong_resolution_is_refused_before_the_first_step(data, tmp_path):
    result = train(data, "--out", tmp_path / "run", "--resolution", "32", *QUICK)
    assert isinstance(result.exception, DatasetError)
    assert not (tmp_path / "run").exists()


def test_missing_pictures_are_refused_before_the_first_step(tmp_path):
    result = train(tmp_path / "nowhere", "--out", tmp_path / "run", *QUICK)
    assert isinstance(result.exception, DatasetError)


def test_a_folder_that_can_not_be_written_is_refused_before_the_first_step(data, tmp_path):
    (tmp_path / "file").write_text("no folder")
    result = train(data, "--out", tmp_path / "file" / "run", *QUICK)
    assert result.exit_code == 2
    assert "a file is there, where a folder has to be" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    "words",
    [
        ("--batch", "many"),
        ("--gamma", "-1"),
        ("--kimg", "0"),
        ("--d-warmup", "-1"),
        ("--style-mixing", "1.1"),
    ],
)
def test_a_value_that_is_no_amount_is_a_usage_error(data, tmp_path, words):
    assert train(data, "--out", tmp_path / "run", *words).exit_code == 2


def test_a_run_that_would_end_with_the_discriminators_warm_up_is_refused(data, tmp_path):
    assert train(data, "--out", tmp_path / "first", *QUICK).exit_code == 0
    start = (*QUICK[2:], "--start", tmp_path / "first" / "latest.safetensors")
    result = train(data, "--out", tmp_path / "run", *start)
    assert isinstance(result.exception, OptionError)
    assert "for the first 10 the discriminator learns alone (--d-warmup)" in str(result.exception)
    assert train(data, "--out", tmp_path / "run", *start, "--d-warmup", "0").exit_code == 0
    again = train(data, "--out", tmp_path / "run", *start, "--d-warmup", "0", "--micro-batch", "32")
    assert again.exit_code == 0, "it is the same command"


def test_a_new_run_does_not_write_over_the_weights_it_starts_from(data, tmp_path):
    out = tmp_path / "run"
    assert train(data, "--out", out, *QUICK).exit_code == 0
    (out / "state.safetensors").unlink()
    before = (out / "latest.safetensors").read_bytes()
    result = train(data, "--out", out, *QUICK[2:], "--start", out / "latest.safetensors")
    assert isinstance(result.exception, OptionError)
    assert "choose another --out" in str(result.exception)
    assert (out / "latest.safetensors").read_bytes() == before


def test_help_does_not_import_torch():
    code = "import sys; from metagan.cli.train import command; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_long_runs_report_shows_its_sheets_evenly():
    assert spread(range(101), 5) == [0, 25, 50, 75, 100]
    assert spread([1, 2], 5) == [1, 2]


def test_tensorboard_events_are_written_when_asked_for(data, tmp_path):
    pytest.importorskip("tensorboard")
    out = tmp_path / "run"
    result = train(data, "--out", out, *QUICK, "--measure", "0", "--metrics-every", "0.008", "--tensorboard")
    assert result.exit_code == 0, result.exception
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out / "events")).Reload()
    assert [event.step for event in events.Scalars("loss_g")] == [8, 16]


def test_tensorboard_that_is_not_installed_is_an_option_error(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    result = train(data, "--out", tmp_path / "run", *QUICK, "--tensorboard")
    assert isinstance(result.exception, OptionError)
    assert "pip install 'metagan[tensorboard]'" in str(result.exception)


def test_a_run_that_lost_its_state_is_never_begun_again_over_its_results(data, tmp_path):
    out = tmp_path / "run"
    assert train(data, "--out", out, *QUICK, "--measure", "0").exit_code == 0
    (out / "state.safetensors").unlink()
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    result = train(data, "--out", out, *QUICK, "--measure", "0")
    assert isinstance(result.exception, TrainingError)
    assert "up to 0.016 kimg" in str(result.exception)
    assert f"--start {out / 'latest.safetensors'}" in result.exception.fix
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_weights_are_results_even_where_measurements_and_snapshots_are_gone(data, tmp_path):
    out = tmp_path / "run"
    assert train(data, "--out", out, *QUICK, "--measure", "0").exit_code == 0
    for path in (out / "state.safetensors", out / "metrics.jsonl", *(out / "snapshots").iterdir()):
        path.unlink()
    result = train(data, "--out", out, *QUICK, "--measure", "0")
    assert isinstance(result.exception, TrainingError)
    (out / "latest.safetensors").write_bytes(b"another program's")
    result = train(data, "--out", out, *QUICK, "--measure", "0")
    assert "it holds weights, but no state.safetensors" in str(result.exception)
    assert (out / "latest.safetensors").read_bytes() == b"another program's"


def test_a_run_that_lost_its_configuration_is_not_begun_again_over_its_state(data, tmp_path):
    out = tmp_path / "run"
    assert train(data, "--out", out, *QUICK, "--measure", "0").exit_code == 0
    (out / "config.yaml").unlink()
    result = train(data, "--out", out, *QUICK, "--measure", "0")
    assert "results up to 0.016 kimg, but no config.yaml to go on from" in str(result.exception)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.yaml", "my: precious", QUICK),
        ("config.yaml", "recipe: [flour, water", QUICK),
        ("report.html", "<p>mine", QUICK),
        ("metrics.jsonl", '{"steps": 1, "kimg": 0.1}\n', QUICK),
        ("config.yaml", "my: precious", ("--upscaler", "x2", "--kimg", "0.008")),
    ],
)
def test_a_run_does_not_begin_over_the_files_of_another_program(tmp_path, name, content, words):
    out, data = tmp_path / "project", write_folder(tmp_path / "discs", 2, 64)
    out.mkdir()
    (out / name).write_text(content)
    result = train(data, "--out", out, *words)
    assert isinstance(result.exception, TrainingError)
    assert f"it holds no run, but {name}, which a new run would replace" in str(result.exception)
    assert [path.name for path in out.iterdir()] == [name]
    assert (out / name).read_text() == content


def test_a_run_that_was_killed_before_its_first_state_begins_again(data, tmp_path):
    out = tmp_path / "run"
    assert train(data, "--out", out, *QUICK, "--measure", "0").exit_code == 0
    for path in (out / "state.safetensors", *(out / "snapshots").glob("*_016.*")):
        path.unlink()
    (out / "latest.safetensors").write_bytes((out / "snapshots" / "000000_000.safetensors").read_bytes())
    assert train(data, "--out", out, *QUICK, "--measure", "0").exit_code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("--keep-snapshots", "0"),
        ("--snapshot-every", "nan"),
        ("--gamma", "nan"),
        ("--kimg", "nan"),
        ("--lr", "inf"),
        ("--augment-target", "nan"),
    ],
)
def test_what_is_no_number_is_a_usage_error(data, tmp_path, words):
    result = train(data, "--out", tmp_path / "run", *words)
    assert result.exit_code == 2
    assert "want" in result.stderr or "not in the range" in result.stderr
    assert not (tmp_path / "run").exists()
