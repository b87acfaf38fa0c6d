"""The readers fuzzed for some seconds; `make fuzz` does it for longer."""

import json
import random
import signal
import warnings
from pathlib import Path

import pytest

from metagan.errors import MalformedFileError
from tests.fuzz import runner as fuzz_runner
from tests.fuzz import worker
from tests.fuzz.__main__ import case_of
from tests.fuzz.cases import Case, golden_cases
from tests.fuzz.mutate import make_case, mutate
from tests.fuzz.runner import BuildReport, Findings, Runner, kept_case
from tests.fuzz.searching import FaultFoundError, search

CASES = 60
EXAMPLES = 60


@pytest.fixture(scope="module")
def runner():
    with Runner() as running:
        yield running


def test_mutated_files_of_every_format_give_networks_or_clean_errors(runner):
    faults, loaded = [], 0
    for number in range(CASES):
        case = case_of(1, number, golden_cases())
        outcome = runner.try_case(case)
        loaded += "loaded" in outcome.told
        faults += [f"case {number}, {case.seed}: {outcome.fault} {outcome.told}"] if outcome.fault else []
    assert not faults
    assert loaded > CASES / 40  # some mutations must leave a network, or nobody looks behind the readers


def test_hypothesis_finds_nothing_but_networks_and_clean_errors(runner):
    outcomes: list[BuildReport] = []
    search(runner, golden_cases(), 0, EXAMPLES, outcomes.append)
    messages = {outcome.told[0].partition(".")[2] for outcome in outcomes}
    assert len(messages) > EXAMPLES / 10


def test_every_genuine_file_of_the_corpus_loads(runner):
    for case in golden_cases():
        outcome = runner.try_case(case)
        assert outcome.fault is None, case.seed
        assert outcome.told and set(outcome.told) == {"loaded"}, (case.seed, outcome)


def test_a_fault_that_hypothesis_meets_is_raised_with_its_case():
    class Faulty:
        def try_case(self, case: Case) -> BuildReport:
            return BuildReport("ValueError: long" if len(case.content) > 100 else None)

    with pytest.raises(FaultFoundError) as caught:
        search(Faulty(), golden_cases(), 0, EXAMPLES, lambda _: None)
    assert len(caught.value.case.content) > 100
    assert caught.value.outcome.fault == "ValueError: long"


# The fuzzer itself


def test_a_cases_number_says_what_is_in_it():
    assert case_of(7, 3, golden_cases()) == case_of(7, 3, golden_cases())
    assert (
        len({json.dumps([*map(str, case_of(7, n, golden_cases()).files.values())]) for n in range(20)}) > 15
    )


def test_a_file_too_deep_for_its_mutator_is_changed_blindly():
    deep = Case("a header", "x.json", {"x.json": b"[" * 5000 + b"]" * 5000})
    changed = [mutate(deep, b"", random.Random(number)).content != deep.content for number in range(20)]
    assert any(changed)


@pytest.mark.parametrize("case", golden_cases(), ids=lambda case: case.seed)
def test_mutations_change_files(case):
    changed = [mutate(case, b"", random.Random(number)).files != case.files for number in range(12)]
    assert sum(changed) >= 6


def crash(_: Path) -> list[str]:
    raise ValueError("found")


def warn(_: Path) -> list[str]:
    warnings.warn("found", stacklevel=1)
    return []


def hang(_: Path) -> list[str]:
    while True:
        pass


def grow(_: Path) -> list[str]:
    return [] * len(bytearray(2 * worker.MAX_BYTES))


@pytest.mark.parametrize(
    ("follow", "words"),
    [
        (crash, "ValueError: found"),
        (warn, "UserWarning: found"),
        (hang, "TooSlowError: more than 1 seconds"),
        (grow, "Memory: "),
        (lambda _: ["a message"], "Message without the file's name"),
        (lambda path: [f"{path}: \x1b[31m"], "odd characters"),
        (lambda path: [f"{path}: " + "a" * 5000], "too long"),
    ],
)
def test_whatever_is_no_clean_error_is_a_fault(monkeypatch, follow, words):
    monkeypatch.setattr(worker, "follow", follow)
    monkeypatch.setattr(worker, "MAX_SECONDS", 1.0)
    monkeypatch.setattr(worker, "MAX_BYTES", 64 << 20)
    before = signal.signal(signal.SIGPROF, worker._stop)
    try:
        assert words in (worker.outcome(Path("/tmp/cat.pkl"))["fault"] or "")
    finally:
        signal.signal(signal.SIGPROF, before)


def test_clean_errors_are_no_fault(monkeypatch):
    def refuse(path: Path) -> None:
        raise MalformedFileError(f"{path}: damaged")

    monkeypatch.setattr(worker, "read_checkpoint", refuse)
    told = worker.outcome(Path("/tmp/cat.pkl"))
    assert told["fault"] is None
    assert told["told"] == ["/tmp/cat.pkl: damaged"]


def test_a_child_that_dies_is_a_fault_and_the_next_case_gets_another(runner):
    case = golden_cases()[0]
    runner.try_case(case)
    assert runner.child is not None
    runner.child.kill()
    runner.child.wait()
    assert "Crash: the child ended with -9" in (runner.try_case(case).fault or "")
    assert runner.try_case(case).fault is None


def test_a_child_that_hangs_is_a_fault(monkeypatch):
    monkeypatch.setattr(fuzz_runner, "HANG_SECONDS", 0.1)
    monkeypatch.setattr(fuzz_runner, "LOOK_SECONDS", 0.05)
    with Runner() as starting:  # to import torch takes longer
        assert "Hang: no answer" in (starting.try_case(golden_cases()[0]).fault or "")


def test_a_finding_is_kept_with_the_way_to_replay_it(tmp_path):
    findings, case = Findings(tmp_path), make_case(golden_cases(), random.Random(0))
    place = findings.add(
        case, BuildReport("ValueError: found", "read.py:read", ("trace",)), {"seed": 1, "case": 2}
    )
    assert place is not None
    report = json.loads((place.parents[1] / "report.json" if case.entry in case.files else place).read_text())
    assert report["replay"].startswith("python -m tests.fuzz --replay ")
    assert report["fault"] == "ValueError: found"
    assert kept_case(place.parents[1]).files == case.files
    for number in range(20):
        findings.add(
            Case("x", "x", {"x": bytes([number])}), BuildReport("ValueError: found", "read.py:read"), {}
        )
    assert len(list(tmp_path.iterdir())) <= 5
