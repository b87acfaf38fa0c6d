"""Atomic writes, and what processes that were killed left behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from metagan.files import sweep_folder, sweep_killed, write_bytes


@pytest.mark.skipif(os.name != "posix", reason="makes a pipe")
def test_a_pipe_or_device_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with pytest.raises(OSError, match="a pipe or device is there, which is not replaced"):
            write_bytes(tmp_path / name, b"x")
    assert (tmp_path / "pipe").is_fifo()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(os.name != "posix", reason="other systems don't say whether a process runs")
def test_what_killed_processes_left_is_swept_and_nothing_else(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    film = tmp_path / "a[1].gif"
    swept = [tmp_path / f".{film.name}.{gone.pid}.tmp", tmp_path / f".{film.name}.{gone.pid}0000000.tmp"]
    kept = [
        tmp_path / f".{film.name}.{os.getpid()}.tmp",
        tmp_path / f".b.gif.{gone.pid}.tmp",
        tmp_path / f".{film.name}.backup.tmp",
        film,
    ]
    swept[0].mkdir()
    (swept[0] / "0.png").write_bytes(b"half")
    for path in (swept[1], *kept):
        path.write_bytes(b"half")
    for path in (*swept, *kept):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    fresh = tmp_path / f".{film.name}.{gone.pid}00.tmp"
    fresh.write_bytes(b"another machine's")
    sweep_killed(film)
    assert sorted(tmp_path.iterdir()) == sorted([*kept, fresh])
    sweep_killed(Path("nowhere") / "a.gif")


def test_a_folder_is_swept_of_what_killed_processes_left_in_it(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = [f".best.safetensors.{ended.pid}.tmp", f".hashes.json.{ended.pid}.tmp", ".tmpHSM5H0"]
    kept = [f".best.safetensors.{os.getpid()}.tmp", ".lock", "best.safetensors", ".mine.tmp"]
    for name in left + kept:
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (time.time() - 90, time.time() - 90))
    (tmp_path / ".tmpYOUNG1").write_bytes(b"x")
    sweep_folder(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, ".tmpYOUNG1"])
    sweep_folder(tmp_path / "nowhere")
