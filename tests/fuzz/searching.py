"""Hypothesis over the same cases: what it finds it makes small, as every choice that made the case is its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.cases import Case
from tests.fuzz.mutate import make_case
from tests.fuzz.runner import BuildReport, Runner


class FaultFoundError(Exception):
    """A case that ends in neither networks nor a clean error."""

    def __init__(self, case: Case, outcome: BuildReport) -> None:
        self.case = case
        self.outcome = outcome
        super().__init__(f"{case.seed}: {outcome.fault}")


def search(
    runner: Runner, corpus: Sequence[Case], number: int, examples: int, done: Callable[[BuildReport], None]
) -> None:
    """Try so many cases; the same number makes the same ones.

    Raises:
        FaultFoundError: The smallest case that hypothesis found for a fault.
    """

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(st.randoms(use_true_random=False))
    def check(chance: Random) -> None:
        case = make_case(corpus, chance)
        outcome = runner.try_case(case)
        done(outcome)
        if outcome.fault:
            raise FaultFoundError(case, outcome)

    check()
