"""Progress on stderr: bars with rate and remaining time on a terminal, a line a minute in a file or a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from metagan.fetch.transfer import Transfer


LINE_EVERY_S = 60.0


class RateColumn(ProgressColumn):
    """A column with the rate per second."""

    def render(self, task: Task) -> Text:
        """Render the rate since the stage began."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="dim")


class Stages:
    """One progress bar per stage, or lines. Beginning a stage finishes the one before it."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._next_line = time.monotonic() + LINE_EVERY_S
        self._task: TaskID | None = None
        self._download: str | None = None

    def begin(self, what: str, total: int | None) -> None:
        """Begin a stage. Without a total, the bar only counts."""
        self.finish()
        self._download = None
        self._task = self._bars.add_task(what, total=total)

    def advance(self, amount: int) -> None:
        """Advance the current stage by an amount."""
        if self._task is not None:
            self._bars.advance(self._task, amount)
            self._line(self._bars.tasks[self._task])

    def transfer(self, transfer: Transfer) -> None:
        """Update the stage of a download, which is counted in bytes."""
        if transfer.name != self._download:
            self.begin(f"downloading {transfer.name}", transfer.total_bytes)
            self._download = transfer.name
        if self._task is not None:
            self._bars.update(self._task, completed=transfer.done_bytes, total=transfer.total_bytes)
            self._line(self._bars.tasks[self._task])

    def _line(self, task: Task) -> None:
        """Print where a stage is, once a minute, if there are no bars."""
        if not self._bars.disable or time.monotonic() < self._next_line:
            return
        self._next_line = time.monotonic() + LINE_EVERY_S
        total = "" if task.total is None else f" of {task.total:,.0f}"
        click.echo(f"{task.description}: {task.completed:,.0f}{total}", err=True)

    def finish(self) -> None:
        """Finish the current stage."""
        if self._task is not None:
            task = self._bars.tasks[self._task]
            self._bars.update(self._task, total=task.total or task.completed)


@contextmanager
def stages() -> Iterator[Stages]:
    """Show progress bars on stderr while the block runs."""
    console = Console(stderr=True)
    columns = (
        *(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(RateColumn(), TimeRemainingColumn()),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        progress = Stages(bars)
        yield progress
        progress.finish()


@contextmanager
def transferring(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a transfer while the block runs: a bar on a terminal, else a line a minute, whatever has come through.

    Args:
        what: What is done: "publishing to s3://apes".

    Yields:
        A function to call with the bytes sent so far and in total, as often as they are known.
    """
    console = Console(stderr=True)
    done_bytes, total_bytes, began, ended = 0, 0, time.monotonic(), Event()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())

    def say_each_minute() -> None:
        while not ended.wait(LINE_EVERY_S):
            minutes = (time.monotonic() - began) / 60
            sent = f"{done_bytes / 1e6:,.1f} of {total_bytes / 1e6:,.1f} MB" if total_bytes else "under way"
            click.echo(f"{what}: {sent} after {minutes:.0f} min", err=True)

    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        task = bars.add_task(what, total=None)

        def told(done: int, total: int) -> None:
            nonlocal done_bytes, total_bytes
            done_bytes, total_bytes = done, total
            bars.update(task, completed=done, total=total)

        if bars.disable:
            Thread(target=say_each_minute, daemon=True).start()
        try:
            yield told
        finally:
            ended.set()


def note(text: str) -> None:
    """Print something worth knowing to stderr."""
    click.echo(f"note: {text}", err=True)
