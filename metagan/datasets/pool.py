"""Work spread over processes: results in order, bounded memory, and a crash costs one item.

A picture file can take down the process that decodes it (a fault in a C library, the system's memory killer). The
items under way then run again one at a time, so that the one that crashes is known.
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
] = []  # in a worker process only: the task, sent once and not with each item


def available_cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class OrderedPool(Generic[Item, Result]):
    """Runs one task on many items.

    Args:
        task: A function that can be pickled.
        workers: Processes; 0 runs everything in this one.
        on_crash: The result for an item whose process died.
    """

    def __init__(
        self, task: Callable[[Item], Result], workers: int, on_crash: Callable[[Item], Result]
    ) -> None:
        self._task = task
        self._workers = workers
        self._on_crash = on_crash

    def map(self, items: Iterable[Item]) -> Iterator[Result]:
        """The results, in the items' order; few are held at a time. What the task raises is raised here."""
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
        )  # a fork would copy the progress bar's thread, half alive
        return ProcessPoolExecutor(workers, context, initializer=_adopt, initargs=(self._task,))


def _adopt(task: Callable[[Any], Any]) -> None:
    _adopted[:] = [task]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the parent ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A parent that is killed tells nobody, and its workers would wait for items for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(item: Item) -> Any:
    return _adopted[0](item)
