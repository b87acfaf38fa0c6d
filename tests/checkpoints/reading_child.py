"""Reads every file of a folder in a process of its own, under a memory limit, and tells what came of it.

Tests call `read_in_child`, which runs this file as `python -m tests.checkpoints.reading_child FOLDER`.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import MetaganError

ROOT = Path(__file__).resolve().parents[2]
HEADROOM_BYTES = 3 << 30
MAX_SECONDS = 10
MAX_BYTES = 1 << 30


def read_in_child(folder: Path) -> dict[str, dict]:
    command = [sys.executable, "-W", "error", "-m", "tests.checkpoints.reading_child", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def assert_bounded(report: dict[str, dict]) -> None:
    assert not {name: told for name, told in report.items() if told["error"] == "CRASH"}
    assert not {name: told["seconds"] for name, told in report.items() if told["seconds"] > MAX_SECONDS}
    assert not {name: told["bytes"] for name, told in report.items() if told["bytes"] > MAX_BYTES}


def main(folder: Path) -> None:
    limit = virtual_bytes() + HEADROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    report = {path.name: outcome(path) for path in sorted(folder.iterdir()) if path.name != "MANIFEST.json"}
    sys.stdout.write(json.dumps(report))


def outcome(path: Path) -> dict[str, object]:
    started, before = time.process_time(), peak_bytes()  # other people's load doesn't count
    try:
        for record in read_checkpoint(path).networks.values():
            dict(record.tensors)  # they are made when they are first asked for
    except MetaganError as error:
        result = {"error": type(error).__name__, "message": str(error)}
    except BaseException as error:  # noqa: BLE001  whatever it is, the parent reports it
        result = {"error": "CRASH", "message": f"{type(error).__name__}: {error}"}
    else:
        result = {"error": None, "message": ""}
    return result | {"seconds": time.process_time() - started, "bytes": peak_bytes() - before}


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def virtual_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
