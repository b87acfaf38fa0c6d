"""The simulation of runs on many GPUs, in cases that can be reckoned by hand."""

from dataclasses import replace

import pytest

from benchmarks.simulate import Assumptions, at_random, simulate

# Ten shards of 100 pictures, each drawn in 100 s and sent in 1 s.
PLAIN = Assumptions(
    pictures=1000,
    per_shard=100,
    draw_s=1.0,
    encode_s=0.0,
    picture_bytes=10,
    start_s=50.0,
    link_bytes_s=1000.0,
    storage_bytes_s=1e12,
    hand_out_s=0.0,
)


@pytest.mark.parametrize(("gpus", "rounds"), [(1, 10), (2, 5), (3, 4), (10, 1), (99, 1)])
def test_workers_take_shards_in_rounds(gpus: int, rounds: int) -> None:
    outcome = simulate(PLAIN, gpus)
    assert outcome.seconds == pytest.approx(50 + 100 * rounds + 1)
    assert (outcome.stored, outcome.failures, outcome.lost_s) == (1000, 0, 0)
    assert outcome.machine_s == pytest.approx(gpus * outcome.seconds)


def test_a_last_shard_may_be_smaller() -> None:
    assert simulate(replace(PLAIN, pictures=130), 1).seconds == pytest.approx(50 + 130 + 0.3)


def test_encoding_holds_up_drawing_if_it_takes_longer() -> None:
    assert simulate(replace(PLAIN, encode_s=12.0, encoders=8), 1).seconds == pytest.approx(50 + 1500 + 1)


def test_a_slow_link_is_waited_for_with_two_shards_at_most() -> None:
    # A shard is drawn in 100 s and sent in 200 s: from the second on each waits until the one before has gone.
    assert simulate(replace(PLAIN, link_bytes_s=5.0), 1).seconds == pytest.approx(50 + 100 + 10 * 200)


def test_a_slow_storage_is_shared() -> None:
    assert simulate(replace(PLAIN, storage_bytes_s=1.0), 10).seconds == pytest.approx(50 + 100 + 10 * 1000)


def test_the_driver_hands_out_one_shard_after_the_other() -> None:
    assert simulate(replace(PLAIN, hand_out_s=7.0), 10).seconds == pytest.approx(50 + 10 * 7 + 100 + 1)


def test_a_failed_machine_loses_what_it_holds_and_the_others_draw_it() -> None:
    # One of two fails 30 s into its third shard, at 280 s; then five are left beside the other's third. The new machine
    # is up at 330 s and draws three of them, the other is free at 350 s and draws two.
    outcome = simulate(PLAIN, 2, lambda who: iter([280.0] if who == 1 else []))
    assert outcome.failures == 1 and outcome.stored == 1000
    assert outcome.lost_s == pytest.approx(50 + 30)
    assert outcome.seconds == pytest.approx(330 + 300 + 1)


def test_a_shard_that_is_on_its_way_is_lost_too() -> None:
    outcome = simulate(PLAIN, 1, lambda who: iter([150.5]))
    assert outcome.lost_s == pytest.approx(50 + 0.5 + 100)
    assert outcome.seconds == pytest.approx(150.5 + 50 + 1000 + 1)


def test_failures_come_at_their_rate() -> None:
    moments = at_random(replace(PLAIN, hours_between_failures=1.0), 3)(0)
    times = [next(moments) for _ in range(2000)]
    assert times[-1] / 2000 == pytest.approx(3600, rel=0.1)
    assert next(at_random(replace(PLAIN, hours_between_failures=0.0), 3)(0), None) is None
