"""What every test may use."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def usual_signals() -> None:
    """Give programs that tests start the usual signals.

    A shell's background jobs, nohup and some CI runners ignore SIGINT or SIGHUP, and what they start inherits that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def started(command: list[str], **options: object) -> Iterator[subprocess.Popen]:
    """A program in a process group of its own, all of which ends with the block, whether the test passes or not."""
    process = subprocess.Popen(command, start_new_session=True, **options)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture(scope="session")
def shared_vectors() -> Path:
    """The folder of reference vectors beside the checkout; the test is skipped where there is none."""
    folder = SHARED / "vectors"
    if not folder.is_dir():
        pytest.skip("no ../shared/vectors beside this checkout")
    return folder
