"""Runs are kept on a storage, and go on from there on another machine; nothing there is replaced by another run."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from metagan.errors import OptionError, TrainingError
from metagan.storage import Storage
from metagan.training.archive import RunArchive
from metagan.training.options import Schedule
from metagan.training.run_folder import RunFolder
from metagan.training.session import train
from metagan.training.state import read_state
from tests.training import toy

BATCH = 4
PLACES = ("folder", "memory")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write_folder(tmp_path_factory.mktemp("discs") / "discs", 8, 8)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "archive")
    files = fsspec.filesystem("memory")
    if files.exists("/runs"):
        files.rm("/runs", recursive=True)
    return "memory://runs/discs"


def run(
    data: Path,
    out: Path,
    steps: int,
    place: str | None,
    on_progress: Callable[[float, object], None] | None = None,
    **asked: object,
) -> None:
    schedule = Schedule(
        total_kimg=steps * BATCH / 1000,
        snapshot_kimg=math.inf,
        state_kimg=BATCH / 1000,
        measured_pictures=0,
    )
    options = toy.change(
        toy.OPTIONS, data=data, out=out, batch=BATCH, schedule=schedule, device="cpu", archive=place, **asked
    )
    train(options, on_progress)


def reached(out: Path) -> int:
    return read_state(RunFolder(out).state)[1]["seen"] // BATCH


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_a_new_machine_goes_on_to_the_weights_of_one_that_never_went_away(data, tmp_path, place):
    run(data, tmp_path / "whole", 4, None)
    run(data, tmp_path / "lost", 2, place)
    shutil.rmtree(tmp_path / "lost")
    run(data, tmp_path / "other", 4, place)
    for name in ("latest.safetensors", "snapshots/000000_016.safetensors"):
        assert (tmp_path / "other" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    storage = Storage(place, TrainingError)
    assert set(storage.sizes()) >= {"archive.json", "config.yaml", "latest.safetensors", "state.safetensors"}
    assert storage.read("state.safetensors") == (tmp_path / "other/state.safetensors").read_bytes()


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_other_runs_and_other_files_are_not_written_over(data, tmp_path, place):
    run(data, tmp_path / "one", 1, place)
    run(data, tmp_path / "two", 1, None)
    with pytest.raises(TrainingError, match=r"holds another run than .*two\n  fix: choose another place"):
        run(data, tmp_path / "two", 2, place)
    assert reached(tmp_path / "two") == 1
    Storage(place, TrainingError).write("elsewhere/notes.txt", b"mine")
    with pytest.raises(TrainingError, match="it holds other files"):
        run(data, tmp_path / "three", 1, f"{place}/elsewhere")
    assert not (tmp_path / "three").exists()


@pytest.mark.parametrize("place", ["", "run", "run/copy"])
def test_a_copy_within_the_run_is_refused(data, tmp_path, place):
    with pytest.raises(TrainingError, match=r"--archive '.*\n  fix: choose a place elsewhere"):
        run(data, tmp_path / "run", 1, str(tmp_path / place) if place else "")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("place", ["", "archive"])
def test_a_copy_among_the_pictures_is_refused(data, tmp_path, place):
    with pytest.raises(OptionError, match=r"--archive .*: it lies in .*which is read"):
        run(data, tmp_path / "run", 1, str(data / place))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("place", PLACES, indirect=True)
@pytest.mark.parametrize("first", [0, 1])
def test_of_two_machines_that_train_one_run_the_first_to_store_a_state_keeps_the_archive(
    data, tmp_path, place, first
):
    run(data, tmp_path / "one", 1, place)
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    archives = [RunArchive(place, RunFolder(tmp_path / name), print) for name in ("one", "other")]
    for archive in archives:
        archive.open()
    archives[first].put(0.012)
    with pytest.raises(TrainingError, match=r"another process has brought it to 0.012 kimg\n  fix: end one"):
        archives[1 - first].put(0.016)
    archives[first].put(0.02)


def test_a_folder_that_goes_away_for_a_while_gets_the_whole_run_afterwards(data, tmp_path):
    archive = tmp_path / "archive"

    def disturb(kimg: float, _: object) -> None:
        if kimg == 0.008:
            shutil.rmtree(archive)
            archive.write_text("no folder")
        if kimg == 0.016:
            archive.unlink()

    run(data, tmp_path / "run", 4, str(archive), disturb)
    assert reached(tmp_path / "run") == reached(archive) == 4
    assert {"config.yaml", "metrics.jsonl"} <= {path.name for path in archive.iterdir()}


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_an_archive_that_is_ahead_is_not_put_back(data, tmp_path, place):
    run(data, tmp_path / "run", 1, place)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    run(data, tmp_path / "run", 2, place)
    with pytest.raises(
        TrainingError, match=r"its run is at 0.008 kimg, ahead of .*copy at 0.004\n  fix: .*--out"
    ):
        run(data, tmp_path / "copy", 2, place)


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_an_interrupted_download_begins_again(data, tmp_path, place, monkeypatch):
    run(data, tmp_path / "lost", 2, place)
    read = Storage.read

    def failing(self: Storage, name: str) -> bytes | None:
        if name == "state.safetensors":
            raise TrainingError("the line is cut")
        return read(self, name)

    with monkeypatch.context() as patched:
        patched.setattr(Storage, "read", failing)
        with pytest.raises(TrainingError, match="the line is cut"):
            run(data, tmp_path / "new", 3, place)
    run(data, tmp_path / "new", 3, place)
    assert reached(tmp_path / "new") == 3


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_a_storage_that_fails_does_not_end_training_before_its_end(
    data, tmp_path, place, monkeypatch, capsys
):
    write = Storage.write

    def failing(self: Storage, name: str, content: bytes) -> None:
        if name == "state.safetensors":
            raise TrainingError("the bucket is gone")
        write(self, name, content)

    with monkeypatch.context() as patched:
        patched.setattr(Storage, "write", failing)
        with pytest.raises(TrainingError, match="the bucket is gone"):
            run(data, tmp_path / "run", 3, place)
    assert "the archive keeps its former state, the bucket is gone" in capsys.readouterr().err
    assert reached(tmp_path / "run") == 3
    run(data, tmp_path / "run", 3, place)
    assert Storage(place, TrainingError).sizes()["state.safetensors"]
