"""A simulation of a run of shards on many GPUs, by discrete events: where more of them stop helping, and what fails.

A worker draws a shard while it sends the one before; it has two at most (metagan/shards/on_ray.py). Sending takes the
worker's link and, for all workers together, the storage, each in the order of arrival. A failed machine loses what it
holds, its shards go to whoever is free first, and another machine takes its place. Time is in seconds.
"""

from __future__ import annotations

import heapq
import json
import math
import random
import statistics
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count

IN_FLIGHT = 2
GPUS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
ROUNDS = 20


@dataclass(frozen=True)
class Assumptions:
    """What a run consists of.

    Args:
        pictures: Of the run.
        per_shard: Pictures of a shard.
        draw_s: A GPU's time for a picture.
        encode_s: A processor's time for a picture's file.
        encoders: Processors of a machine.
        picture_bytes: A picture's file.
        start_s: From the order of a machine to its first picture.
        link_bytes_s: A machine's way to the storage.
        storage_bytes_s: What the storage takes of all of them together.
        hand_out_s: The driver's time for a shard.
        hours_between_failures: Of one machine, on average; 0 for none.
        dollars_an_hour: A machine's price, from its order to the end of the run.
    """

    pictures: int = 1_000_000
    per_shard: int = 1000
    draw_s: float = 0.0095
    encode_s: float = 0.078
    encoders: int = 8
    picture_bytes: int = 75_000
    start_s: float = 300.0
    link_bytes_s: float = 100e6
    storage_bytes_s: float = 10e9
    hand_out_s: float = 0.005
    hours_between_failures: float = 50.0
    dollars_an_hour: float = 1.21

    @property
    def shards(self) -> list[int]:
        """Pictures of each shard."""
        whole, rest = divmod(self.pictures, self.per_shard)
        return [self.per_shard] * whole + [rest] * bool(rest)

    @property
    def picture_s(self) -> float:
        """A machine's time for a picture: the encoders work beside the GPU."""
        return max(self.draw_s, self.encode_s / self.encoders)


# Where the numbers come from, for docs/scale.md.
ORIGINS = (
    ("pictures, in shards of 1,000", "1,000,000", "the task"),
    (
        "GPU's time for a picture",
        "9.5 ms",
        "148 GFLOP (`benchmarks.sample.count_flops`, 1024x1024, channel base 32768) at half of the 31.2 TFLOPS that "
        "NVIDIA states for the A10G in fp32; the half is an assumption",
    ),
    (
        "processor's time for a file",
        "78 ms",
        "measured: a WebP of 16 bundled 256x256 hummingbirds as a mosaic, one thread, AMD EPYC",
    ),
    ("processors of a machine", "8", "AWS g5.2xlarge, one A10G"),
    ("file", "75 kB", "measured: that WebP"),
    ("start of a machine", "300 s", "assumption: boot, environment, weights, generator"),
    ("machine's link", "100 MB/s", "assumption; the machine's own limit is higher"),
    ("storage", "10 GB/s", "assumption; S3 states no limit of its bandwidth"),
    ("driver's time for a shard", "5 ms", "assumption"),
    (
        "hours between failures of a machine",
        "50",
        "assumption, as of cheap machines that are taken back; Llama 3's training had one in 50,000 GPU hours "
        "(arXiv:2407.21783, section 3.3.4)",
    ),
    (
        "price of a machine",
        "$1.21 an hour",
        "assumption: a g5.2xlarge on demand in us-east-1; look it up",
    ),
)


@dataclass
class Outcome:
    """What a run took.

    Args:
        seconds: From the order of the machines to the last stored shard.
        machine_s: Seconds of all machines, which are paid until then.
        lost_s: Seconds of drawing and starting that failures cost.
        failures: How many machines failed.
        stored: Pictures.
    """

    seconds: float = 0.0
    machine_s: float = 0.0
    lost_s: float = 0.0
    failures: int = 0
    stored: int = 0


@dataclass
class _Worker:
    life: int = 0  # a machine in its place is another life; events of the former one are void
    up_s: float = math.inf
    drawing: int | None = None
    drawing_since_s: float = 0.0
    sending: list[int] = field(default_factory=list)
    link_free_s: float = 0.0


Failures = Callable[[int], Iterator[float]]
"""By a worker's number, the moments at which its machine fails, ascending."""


def at_random(assumed: Assumptions, seed: int) -> Failures:
    """Failures without memory: intervals are exponential."""

    def moments(worker: int) -> Iterator[float]:
        rng, now = random.Random(f"{seed}/{worker}"), 0.0
        while assumed.hours_between_failures:
            now += rng.expovariate(1 / (assumed.hours_between_failures * 3600))
            yield now

    return moments


def simulate(assumed: Assumptions, gpus: int, failures: Failures = lambda _worker: iter(())) -> Outcome:
    """Run through a run's events.

    Args:
        assumed: What it consists of.
        gpus: Machines with one GPU each.
        failures: When they fail.
    """
    run = _Run(assumed, gpus, failures)
    while run.unfinished:
        run.step()
    run.outcome.machine_s = gpus * run.outcome.seconds
    return run.outcome


class _Run:
    """The events of a run, in the order of time."""

    def __init__(self, assumed: Assumptions, gpus: int, failures: Failures) -> None:
        self.assumed, self.outcome = assumed, Outcome()
        self.workers = [_Worker() for _ in range(gpus)]
        self._left = deque(assumed.shards)
        self.unfinished = len(self._left)
        self._driver_free_s = self._storage_free_s = 0.0
        self._events: list[tuple[float, int, str, int, int, int]] = []
        self._order = count()
        self._failures = [failures(who) for who in range(gpus)]
        for who in range(gpus):
            self._start(who, 0.0)

    def step(self) -> None:
        """Let the next thing happen."""
        now_s, _, what, who, life, shard = heapq.heappop(self._events)
        if life != self.workers[who].life:
            return
        if what == "fails":
            self._fail(who, now_s)
        elif what == "drawn":
            self._send(who, now_s, shard)
        elif what == "stored":
            self.workers[who].sending.remove(shard)
            self.unfinished -= 1
            self.outcome.stored += shard
            self.outcome.seconds = now_s
        self._draw(who, now_s)

    def _at(self, when_s: float, what: str, who: int, shard: int = 0) -> None:
        heapq.heappush(self._events, (when_s, next(self._order), what, who, self.workers[who].life, shard))

    def _start(self, who: int, now_s: float) -> None:
        self.workers[who].up_s = now_s + self.assumed.start_s
        self._at(self.workers[who].up_s, "up", who)
        if (following := next(self._failures[who], None)) is not None:
            self._at(following, "fails", who)

    def _draw(self, who: int, now_s: float) -> None:
        """Begin the next shard, if there is one and the worker has room."""
        worker = self.workers[who]
        held = len(worker.sending) + (worker.drawing is not None)
        if not self._left or worker.drawing is not None or held >= IN_FLIGHT or now_s < worker.up_s:
            return
        worker.drawing = self._left.popleft()
        self._driver_free_s = max(self._driver_free_s, now_s) + self.assumed.hand_out_s
        worker.drawing_since_s = self._driver_free_s
        drawn_s = self._driver_free_s + worker.drawing * self.assumed.picture_s
        self._at(drawn_s, "drawn", who, worker.drawing)

    def _send(self, who: int, now_s: float, shard: int) -> None:
        worker, size = self.workers[who], shard * self.assumed.picture_bytes
        worker.drawing = None
        worker.sending.append(shard)
        worker.link_free_s = max(worker.link_free_s, now_s) + size / self.assumed.link_bytes_s
        self._storage_free_s = max(self._storage_free_s, now_s) + size / self.assumed.storage_bytes_s
        self._at(max(worker.link_free_s, self._storage_free_s), "stored", who, shard)

    def _fail(self, who: int, now_s: float) -> None:
        """Another machine takes its place; what it held is drawn by whoever is free first."""
        worker = self.workers[who]
        lost = [*worker.sending, *([] if worker.drawing is None else [worker.drawing])]
        begun_s = 0.0 if worker.drawing is None else max(now_s - worker.drawing_since_s, 0.0)
        self.outcome.failures += 1
        self.outcome.lost_s += self.assumed.start_s + begun_s + sum(worker.sending) * self.assumed.picture_s
        self._left.extendleft(lost)
        self.workers[who] = _Worker(life=worker.life + 1)
        self._start(who, now_s)
        for other in range(len(self.workers)):
            self._draw(other, now_s)


def row(assumed: Assumptions, gpus: int) -> dict[str, float]:
    """A line of the table: medians over runs that differ in their failures."""
    calm = simulate(assumed, gpus)
    runs = [simulate(assumed, gpus, at_random(assumed, seed)) for seed in range(ROUNDS)]
    alone = simulate(assumed, 1)
    middle_s = (assumed.start_s + calm.seconds) / 2  # of the drawing
    failed = simulate(assumed, gpus, lambda who: iter([middle_s] if who == 0 else []))
    seconds = statistics.median(run.seconds for run in runs)
    return {
        "gpus": gpus,
        "minutes": round(seconds / 60, 1),
        "calm_minutes": round(calm.seconds / 60, 1),
        "efficiency": round((alone.seconds - assumed.start_s) / (gpus * calm.seconds), 3),
        "dollars": round(gpus * seconds / 3600 * assumed.dollars_an_hour, 2),
        "failures": round(statistics.mean(run.failures for run in runs), 2),
        "a_failure_delays_s": round(failed.seconds - calm.seconds, 1),
        "a_failure_wastes_s": round(failed.lost_s, 1),
    }


def measure() -> dict[str, object]:
    """The table of docs/scale.md: a million pictures of 1024x1024 on 1 to 256 GPUs."""
    assumed = Assumptions()
    rows = [row(assumed, gpus) for gpus in GPUS]
    small = [row(replace(assumed, per_shard=100), gpus) for gpus in GPUS[-3:]]
    return {"assumptions": ORIGINS, "rows": rows, "in_shards_of_100": small}


if __name__ == "__main__":
    json.dump(measure(), sys.stdout, indent=2)
