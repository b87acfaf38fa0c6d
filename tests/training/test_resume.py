"""A run that is killed goes on as if nothing had been: real processes, real kills."""

import json
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors import safe_open

from metagan import train
from metagan.cli import metagan
from metagan.datasets.source import PictureSource
from metagan.training.run_folder import read_training
from tests.conftest import UNMEASURED, started
from tests.training.toy import write_folder

ENVIRONMENT = {**UNMEASURED, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
KIMG = 0.28
SETTINGS = (
    *("--preset", "tiny", "--batch", "8", "--threads", "1", "--device", "cpu", "--mirror"),
    *("--augment-p", "0.3", "--augment-kimg", "1", "--measure", "0"),
    *("--path-weight", "2", "--style-mixing", "0.9", "--lr-decay", "0.05"),
    *("--state-every", "0.04", "--metrics-every", "0.04", "--snapshot-every", "0.12"),
)


def start(data: Path, out: Path, kimg: float) -> AbstractContextManager[subprocess.Popen]:
    words = [sys.executable, "-m", "metagan", "train", data, "--out", out, "--kimg", kimg, *SETTINGS]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return started([str(word) for word in words], env=ENVIRONMENT, text=True, **pipes)


def finish(process: subprocess.Popen) -> str:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return out


def tensors(path: Path) -> dict[str, bytes]:
    with safe_open(path, framework="np") as file:
        return {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118


def wait_for(path: Path, process: subprocess.Popen, since: float = 0.0) -> None:
    """Until the file has been written after `since`."""
    end = time.monotonic() + 200
    while not path.exists() or path.stat().st_mtime <= since:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.mark.timeout(600)
def test_a_killed_run_goes_on_to_the_weights_of_one_never_interrupted(tmp_path):
    data = write_folder(tmp_path / "discs", count=24)
    state = tmp_path / "killed" / "state.safetensors"
    with start(data, tmp_path / "killed", KIMG) as killed:
        wait_for(state, killed)
        wait_for(state, killed, since=state.stat().st_mtime)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL
    with safe_open(state, framework="np") as file:
        seen = json.loads(file.metadata()["metagan_training_state"])["seen"]
    assert 0 < seen < 1000 * KIMG, "it was killed on its way"
    with start(data, tmp_path / "killed", KIMG) as goes_on, start(data, tmp_path / "whole", KIMG) as whole:
        finish(goes_on)
        finish(whole)
    one, other = (tensors(tmp_path / run / "state.safetensors") for run in ("whole", "killed"))
    assert one == other
    assert tensors(tmp_path / "whole" / "latest.safetensors") == tensors(
        tmp_path / "killed" / "latest.safetensors"
    )
    steps = [
        json.loads(line)["steps"] for line in (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == sorted(set(steps)), "no step is measured twice"


@pytest.mark.timeout(600)
def test_a_run_that_is_asked_to_stop_saves_its_last_step(tmp_path):
    data = write_folder(tmp_path / "discs", count=24)
    with start(data, tmp_path / "run", 1000) as run:
        wait_for(tmp_path / "run" / "state.safetensors", run)
        run.send_signal(signal.SIGTERM)
        said = finish(run)
    assert "latest.safetensors" in said
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    with safe_open(tmp_path / "run" / "state.safetensors", framework="np") as file:
        facts = json.loads(file.metadata()["metagan_training_state"])
    assert facts["steps"] >= json.loads(lines[-1])["steps"]
    assert said.startswith(f"{tmp_path}/run/latest.safetensors: {facts['seen'] / 1000:g} kimg")
    assert read_training(tmp_path / "run" / "latest.safetensors")["kimg"] == facts["seen"] / 1000


def said_until(process: subprocess.Popen, text: str) -> None:
    """Read stderr up to the line with this text."""
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"{text!r} was never said")


def test_a_second_ctrl_c_ends_training_at_once_without_a_traceback(tmp_path):
    data = write_folder(tmp_path / "discs", count=24)
    words = (sys.executable, "-m", "metagan", "train", data, "--out", tmp_path / "run", "--preset", "tiny")
    slow_steps = ("--batch", "128", "--threads", "1", "--device", "cpu", "--measure", "0", "--kimg", "inf")
    pipe = subprocess.PIPE
    with started([*map(str, words), *slow_steps], env=ENVIRONMENT, text=True, stderr=pipe) as process:
        said_until(process, "begins with 24 pictures")
        said_until(process, "kimg: ")  # the first step is done, the next one under way
        process.send_signal(signal.SIGINT)
        said_until(process, "once more ends at once")
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "ended at once; the run goes on from its last state\n"
        assert process.wait(60) == 130


@pytest.mark.parametrize("kind", [(), ("--upscaler", "x4")])
def test_a_run_stopped_before_its_first_step_goes_on_without_measuring_it_twice(tmp_path, kind):
    data = write_folder(tmp_path / "discs", count=24, resolution=64 if kind else 16)
    if kind:
        settings = ("--batch", "2", "--device", "cpu", "--threads", "1")
    else:
        settings = ("--batch", "8", "--preset", "tiny", "--device", "cpu", "--threads", "1")
    words = ["train", data, "--out", tmp_path / "run", "--kimg", "0.008", "--measure", "2", *settings, *kind]

    def stop(run, *_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("metagan.training.run.say_begin", stop)
        patch.setattr("metagan.training.upscaler.run.say_begin", stop)
        stopped = CliRunner().invoke(metagan, [str(word) for word in words])
    assert (stopped.exit_code, stopped.stdout.split(";")[0]) == (
        0,
        f"{tmp_path / 'run' / 'latest.safetensors'}: 0 kimg",
    )
    assert CliRunner().invoke(metagan, [str(word) for word in words]).exit_code == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["steps"] for line in lines].count(0) == 1


@pytest.mark.parametrize(
    ("has_state", "said"), [(False, "nothing was trained"), (True, "run goes on from its last state")]
)
def test_ctrl_c_while_training_is_set_up_says_where_things_stand(tmp_path, monkeypatch, has_state, said):
    out = tmp_path / "run"
    if has_state:
        out.mkdir()
        (out / "state.safetensors").touch()
    monkeypatch.setattr(PictureSource, "check", lambda _: signal.raise_signal(signal.SIGINT))
    data = write_folder(tmp_path / "discs", count=2)
    result = CliRunner().invoke(metagan, ["train", str(data), "--out", str(out)])
    assert result.exit_code == 130
    assert result.stderr.startswith("metagan: interrupted; ")
    assert said in result.stderr
    assert has_state == out.exists()


def test_a_second_ctrl_c_leaves_a_notebook_alive(tmp_path):
    def twice(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    data = write_folder(tmp_path / "discs", count=4)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "run", kimg=1, preset="tiny", batch=4, measured_pictures=0, on_progress=twice)
    assert signal.getsignal(signal.SIGINT) is before
