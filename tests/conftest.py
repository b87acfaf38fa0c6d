"""What every test may use."""

import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# One torch thread a process, for what tests start too. Processes share the cores, and OpenMP's threads wait for each
# other by spinning: with more of them than cores, small tensors take many times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from metagan.live import KERNEL, NAMES
from metagan.live.native import libraries, load_library

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def use_usual_signals() -> None:
    """Give this process, and programs that it starts, the usual signals.

    A shell's background jobs, nohup and some CI runners ignore SIGINT or SIGHUP, and what they start inherits that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def usual_signals() -> None:
    """Start every test with them: the command line, which some tests call in this process, leaves its own behind."""
    use_usual_signals()


def pytest_configure(config: pytest.Config) -> None:
    """Compile the kernel as its sources are now; in a checkout that was installed, nothing is left to do."""
    is_worker = hasattr(config, "workerinput")
    if is_worker or not config.getoption("numprocesses", None):  # what only hands out tests stays under nohup
        use_usual_signals()
    if is_worker or not _is_stale():
        return
    command = [sys.executable, str(ROOT / "hatch_build.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.exit(f"the kernel is older than its sources; run `pip install -e .`\n{done.stderr}", 1)


DRIVES_A_BROWSER = (ROOT / "tests" / "site" / "browser", ROOT / "tests" / "live")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Measure no coverage while a browser is driven: what runs then is JavaScript, and measuring costs a sixth."""
    for item in items:
        if any(map(item.path.is_relative_to, DRIVES_A_BROWSER)):
            item.add_marker("no_cover")


def _is_stale() -> bool:
    newest = max(source.stat().st_mtime for source in KERNEL.rglob("*.[ch]"))
    files = [*(KERNEL / name for name in NAMES), *libraries().values()]
    if any(not file.is_file() or file.stat().st_mtime < newest for file in files):
        return True
    try:  # a library that was copied from another checkout is newer than what it was compiled from
        for name, file in libraries().items():
            load_library(name, file)
    except OSError:
        return True
    return False


# The environment of a program whose coverage isn't measured: what it runs is reached in the tests' own process as well,
# or at random, or it is killed; measuring makes imports of torch a third slower.
UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


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


class Vectors(type(Path())):
    """A folder of reference vectors; a test that asks for one that isn't there is skipped."""

    def __truediv__(self, name: str) -> Path:
        path = super().__truediv__(name)
        if not path.exists():
            pytest.skip(f"{path.name} is in ../shared/vectors only, which this checkout has not beside it")
        return path


# Golden files, and the folder of the reference vectors that has more of their kind.
GOLDEN = Path(__file__).parent / "golden"
FAMILIES = {
    "sg2ada_*": "sg2ada", "tf_*": "tf", "ros_*": "rosinality", "r3_*": "r3gan", "sg3t_*": "sg3", "luc_*": "lucidrains",
}  # fmt: skip


@pytest.fixture(scope="session")
def shared_vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference vectors beside the checkout, or the small part of them that tests/golden holds."""
    if (SHARED / "vectors").is_dir():
        return SHARED / "vectors"
    folder = Vectors(tmp_path_factory.mktemp("vectors"))
    with zipfile.ZipFile(GOLDEN / "vectors.zip") as archive:
        archive.extractall(folder)
    for pattern, family in FAMILIES.items():
        for path in GOLDEN.glob(pattern):
            place = folder.joinpath(family, path.name)
            place.parent.mkdir(exist_ok=True)
            (shutil.copytree if path.is_dir() else shutil.copy)(path, place)
    keras = folder.joinpath("keras", "keras_dcgan32")
    keras.mkdir(parents=True)
    shutil.copy(GOLDEN / "keras_dcgan32.zip", keras.joinpath("generator.zip"))
    with zipfile.ZipFile(GOLDEN / "keras_dcgan32.zip") as archive:
        archive.extractall(keras)
    return folder
