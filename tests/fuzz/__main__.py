"""Fuzz the readers for as long as is asked for: `python -m tests.fuzz --minutes 60`, or `make fuzz MINUTES=60`.

Case I of seed S is always the same file: `--seed S --first I --cases 1` makes it again.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from hypothesis.errors import HypothesisException

from tests.fuzz.cases import GENUINE_WEIGHT, Case, golden_cases, shared_cases
from tests.fuzz.mutate import make_case
from tests.fuzz.runner import BuildReport, Findings, Runner, kept_case
from tests.fuzz.searching import FaultFoundError, search

REPORT_SECONDS = 60
SEARCH_EVERY = 400  # cases after which hypothesis has a turn
EXAMPLES = 100  # of such a turn


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long (default: 1)")
    parser.add_argument("--cases", type=int, help="how many cases at most")
    parser.add_argument("--seed", type=int, help="of all choices (default: another each time, and printed)")
    parser.add_argument("--first", type=int, default=0, help="the first case's number (default: 0)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/fuzz"), help="where findings go (default: runs/fuzz)"
    )
    parser.add_argument("--replay", type=Path, metavar="FOLDER", help="read one finding again")
    options = parser.parse_args()
    if options.replay:
        return replay(options.replay)
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    numbers = range(options.first, options.first + (options.cases or 10**12))
    return Campaign(seed, options.out).run(numbers, options.minutes * 60)


def replay(place: Path) -> int:
    with Runner() as runner:
        outcome = runner.try_case(kept_case(place))
    say(outcome.fault or "clean", *outcome.told)
    return 1 if outcome.fault else 0


class Campaign:
    """Cases one after another, what came of them, and where the faults among them are kept.

    Args:
        seed: Of all choices.
        out: The folder of findings.
    """

    def __init__(self, seed: int, out: Path) -> None:
        self.seed = seed
        self.corpus = golden_cases() * GENUINE_WEIGHT + shared_cases()
        self.findings = Findings(out)
        self.counts: Counter[str] = Counter()
        self.next_report = time.monotonic() + REPORT_SECONDS
        starts = len({case.seed for case in self.corpus})
        say(f"seed {seed}, {starts} genuine and hostile files to start from, findings to {out}")

    def run(self, numbers: range, seconds: float) -> int:
        """Cases in order until the time is over; the exit status is 1 if anything was found."""
        end = time.monotonic() + seconds
        with Runner() as runner:
            for number in numbers:
                if time.monotonic() > end:
                    break
                self.one(runner, number)
                if number % SEARCH_EVERY == SEARCH_EVERY - 1:
                    self.search(runner, number)
        say(f"seed {self.seed}: {self.told()}")
        return 1 if self.findings.seen else 0

    def one(self, runner: Runner, number: int) -> None:
        """One case by its number."""
        try:
            case = case_of(self.seed, number, self.corpus)
        except Exception as error:  # noqa: BLE001  a mutator's own fault, to be mended, and no reader's
            say(f"case {number} can't be made: {type(error).__name__}: {error}")
            return
        outcome = runner.try_case(case)
        self.count(outcome)
        if outcome.fault:
            self.keep(case, outcome, {"seed": self.seed, "case": number})

    def search(self, runner: Runner, number: int) -> None:
        """A turn of hypothesis, which makes small what it finds."""
        try:
            search(runner, self.corpus, self.seed * 10**9 + number, EXAMPLES, self.count)
        except FaultFoundError as found:
            self.keep(found.case, found.outcome, {"found by": f"hypothesis, after case {number}"})
        except HypothesisException as error:
            say(f"hypothesis after case {number}: {type(error).__name__}: {error}")

    def keep(self, case: Case, outcome: BuildReport, facts: Mapping[str, object]) -> None:
        """Save a fault."""
        where = self.findings.add(case, outcome, facts)
        say(f"{facts}, from {case.seed}: {(outcome.fault or '')[:300]} in {outcome.where or '?'} -> {where}")

    def count(self, outcome: BuildReport) -> None:
        """Count an outcome; say how far it is, once a minute."""
        loads = "loaded" in outcome.told
        self.counts["faults" if outcome.fault else "with a network that loads" if loads else "refused"] += 1
        if time.monotonic() > self.next_report:
            self.next_report = time.monotonic() + REPORT_SECONDS
            say(self.told())

    def told(self) -> str:
        """The counts in words."""
        counted = ", ".join(f"{count:,} {kind}" for kind, count in self.counts.most_common())
        return f"{self.counts.total():,} cases: {counted}"


def case_of(seed: int, number: int, corpus: tuple[Case, ...]) -> Case:
    """The case of that number."""
    return make_case(corpus, random.Random(f"{seed}:{number}"))


def say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
