"""Work over processes."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from metagan.datasets.pool import OrderedPool
from tests.conftest import started


def square(number: int) -> int:
    return number * number


def die_at_seven(number: int) -> int:
    if number == 7:
        os._exit(3)
    return number


def fail_at_three(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_the_items_order(workers):
    assert list(OrderedPool(square, workers, square).map(range(30))) == [n * n for n in range(30)]


def test_a_process_that_dies_costs_its_item_only():
    results = list(OrderedPool(die_at_seven, 2, lambda item: -item).map(range(20)))
    assert results == [*range(7), -7, *range(8, 20)]


@pytest.mark.parametrize("workers", [0, 1])
def test_what_the_task_raises_is_raised(workers):
    with pytest.raises(ValueError, match="three"):
        list(OrderedPool(fail_at_three, workers, square).map(range(9)))


def test_few_items_are_taken_ahead():
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield number

    results = OrderedPool(square, 1, square).map(items())
    next(results)
    assert len(taken) <= 8
    results.close()


LONG = ["-m", "metagan", "dataset", "render", "apes", "--resolution", "16", "--workers", "2"]


@contextmanager
def rendering(folder):
    """A rendering that takes minutes, under way, in a process group of its own; and its workers."""
    command = [sys.executable, *LONG, "--out", str(folder / "a.zip"), "--count", "100000"]
    with started(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not any(path.stat().st_size > 20_000 for path in folder.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield process, [pid for pid in group_of(process.pid) if pid != process.pid]


def group_of(leader):
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(entry.name)) == leader:
                found.append(int(entry.name))
        except ProcessLookupError:
            continue
    return found


def all_end(leader):
    deadline = time.monotonic() + 120
    while group_of(leader) and time.monotonic() < deadline:
        time.sleep(0.1)
    return group_of(leader) == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_process_without_a_traceback_and_leaves_nothing(tmp_path, number):
    with rendering(tmp_path) as (process, workers):
        assert len(workers) >= 2
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)  # Ctrl-C reaches them all
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == (1 if number == signal.SIGINT else 128 + number)
        assert "Traceback" not in stderr
        assert all_end(process.pid)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path):
    with rendering(tmp_path) as (process, workers):
        assert len(workers) >= 2
        process.kill()
        process.communicate(timeout=120)
        assert all_end(process.pid)
