"""Work over processes."""

import os

import pytest

from metagan.datasets.pool import OrderedPool


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
