"""Feeds cases to a child under limits, and keeps those that end in anything but networks and clean errors."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.fuzz.cases import Case

ROOT = Path(__file__).resolve().parents[2]
HANG_PROCESSOR_SECONDS = 60.0  # for a child that doesn't answer: long beyond its own limit
HANG_SECONDS = 900.0  # of the clock: on a busy machine to wait long doesn't mean to hang
LOOK_SECONDS = 5.0
KEPT = 5  # cases of one signature
RENEWED = 2000  # cases that one child reads


@dataclass(frozen=True)
class BuildReport:
    """What came of a case.

    Args:
        fault: None for networks and clean errors; else what went wrong.
        where: The function of metagan's that it went wrong in.
        told: Messages, or the end of the traceback.
        seconds: Processor time.
    """

    fault: str | None
    where: str = ""
    told: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def signature(self) -> str:
        """The same for faults that are likely one."""
        kind = (self.fault or "").partition(":")[0]
        return re.sub(r"\W+", "-", f"{kind} {self.where}").strip("-")


class Runner:
    """A child that reads cases, and the folder that they lie in meanwhile; a context manager."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="metagan-fuzz-"))
        self.child: subprocess.Popen[str] | None = None
        self.count = 0

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        shutil.rmtree(self.folder)

    def try_case(self, case: Case) -> BuildReport:
        """Let the child read a case; a child that crashes or hangs is a fault of the case's."""
        if self.count % RENEWED == 0:
            self._end()
        self.count += 1
        place = self.folder / f"case{self.count}"
        place.mkdir()
        outcome = self._ask(case.write(place))
        shutil.rmtree(place)
        return outcome

    def _ask(self, path: Path) -> BuildReport:
        child = self.child = self.child or self._start()
        assert child.stdin is not None and child.stdout is not None
        try:
            child.stdin.write(f"{path}\n")
            child.stdin.flush()
        except BrokenPipeError:
            return self._crashed(child)
        if not self._answers(child):
            self._end()
            return BuildReport(f"Hang: no answer in {HANG_PROCESSOR_SECONDS:g} seconds of processor time")
        line = child.stdout.readline()
        if not line:
            return self._crashed(child)
        told = json.loads(line)
        return BuildReport(told["fault"], told["where"], tuple(told["told"]), told["seconds"])

    def _answers(self, child: subprocess.Popen[str]) -> bool:
        began, used = time.monotonic(), processor_seconds(child.pid)
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while not selector.select(LOOK_SECONDS):
                too_busy = processor_seconds(child.pid) - used > HANG_PROCESSOR_SECONDS
                if too_busy or time.monotonic() - began > HANG_SECONDS:
                    return False
        return True

    def _crashed(self, child: subprocess.Popen[str]) -> BuildReport:
        code = child.wait()
        errors = child.stderr.read() if child.stderr else ""
        self._end()
        return BuildReport(f"Crash: the child ended with {code}", told=tuple(errors.splitlines()[-20:]))

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-m", "tests.fuzz.worker"]
        pipe = subprocess.PIPE
        unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        return subprocess.Popen(
            command, cwd=ROOT, env=unmeasured, text=True, stdin=pipe, stdout=pipe, stderr=pipe
        )

    def _end(self) -> None:
        if self.child:
            self.child.kill()
            self.child.wait()
            for pipe in (self.child.stdin, self.child.stdout, self.child.stderr):
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self.child = None


def processor_seconds(pid: int) -> float:
    """What a process has used of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Findings:
    """A folder of the cases that went wrong: their files, and report.json with how to replay them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: dict[str, int] = {}

    def add(self, case: Case, outcome: BuildReport, facts: Mapping[str, object]) -> Path | None:
        """Keep a case, unless there are enough of its kind; what to read of it."""
        signature = outcome.signature
        self.seen[signature] = self.seen.get(signature, 0) + 1
        if self.seen[signature] > KEPT:
            return None
        digest = hashlib.sha256(b"".join(case.files.values())).hexdigest()[:8]
        place = self.folder / f"{signature}-{digest}"
        place.mkdir(parents=True, exist_ok=True)
        path = case.write(place / "files")
        report = {
            "fault": outcome.fault,
            "where": outcome.where,
            "seed file": case.seed,
            "entry": case.entry,
            "replay": f"python -m tests.fuzz --replay {place}",
            **facts,
            "told": outcome.told,
        }
        (place / "report.json").write_text(json.dumps(report, indent=2))
        return path


def kept_case(place: Path) -> Case:
    """A case that `Findings` kept."""
    entry = json.loads((place / "report.json").read_text())["entry"]
    files = place / "files"
    names = [path for path in sorted(files.rglob("*")) if path.is_file()]
    return Case(place.name, entry, {str(path.relative_to(files)): path.read_bytes() for path in names})
