"""Runs tasks in several processes: ordered results, bounded memory, and a crash loses only one item.

A picture file can crash the process that decodes it (a fault in a C library, or the system's out-of-memory killer).
The pending items then run again one at a time, to find the one that crashes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, Final, Generic, TypeVar

IN_FLIGHT_PER_WORKER: Final = 4
Item = TypeVar("Item")
Result = TypeVar("Result")

_adopted: list[
    Callable[[Any], Any]
] = []  # in worker processes only: the task, which is sent once instead of with each item


def available_cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class OrderedPool(Generic[Item, Result]):
    """Runs a task on many items.

    Args:
        task: A picklable function.
        workers: Number of processes; 0 runs everything in this one.
        on_crash: The result for an item whose process died.
    """

    def __init__(
        self, task: Callable[[Item], Result], workers: int, on_crash: Callable[[Item], Result]
    ) -> None:
        self._task = task
        self._workers = workers
        self._on_crash = on_crash

    def map(self, items: Iterable[Item]) -> Iterator[Result]:
        """Yield results in the order of the items, with few in memory at a time. Errors of the task are raised here."""
        if self._workers == 0:
            yield from map(self._task, items)
            return
        waiting = iter(items)
        while interrupted := (yield from self._until_crash(waiting)):
            yield from self._one_by_one(interrupted)

    def _until_crash(self, waiting: Iterator[Item]) -> Generator[Result, None, list[Item]]:
        # Returns the items to run again. One that was taken but not submitted would be lost, so each is noted first.
        pool = self._open(self._workers)
        taken: deque[Item] = deque()
        futures: deque[Future[Result]] = deque()
        try:
            while True:
                for item in islice(waiting, self._workers * IN_FLIGHT_PER_WORKER - len(taken)):
                    taken.append(item)
                    futures.append(pool.submit(_run, item))
                if not taken:
                    return []
                result = futures[0].result()
                futures.popleft()
                taken.popleft()
                yield result
        except BrokenProcessPool:
            return list(taken)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _one_by_one(self, items: list[Item]) -> Iterator[Result]:
        remaining = deque(items)
        while remaining:
            with self._open(1) as pool:
                try:
                    while remaining:
                        result: Result = pool.submit(_run, remaining[0]).result()
                        remaining.popleft()
                        yield result
                except BrokenProcessPool:
                    yield self._on_crash(remaining.popleft())

    def _open(self, workers: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context(
            "spawn"
        )  # a fork would copy the progress bar's thread in an undefined state
        return ProcessPoolExecutor(workers, context, initializer=_adopt, initargs=(self._task,))


def _adopt(task: Callable[[Any], Any]) -> None:
    _adopted[:] = [task]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the parent stops the others
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # If the parent is killed, its workers would wait for items forever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(item: Item) -> Any:
    return _adopted[0](item)
