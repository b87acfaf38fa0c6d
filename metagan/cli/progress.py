"""Progress on stderr: what, how many, rate, time left; silent when stderr is no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
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


class RateColumn(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """The rate since the stage began."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="dim")


class Stages:
    """One bar a stage; the last one is finished when the next begins."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._download: str | None = None

    def begin(self, what: str, total: int | None) -> None:
        """A stage begins; without a total the bar only counts."""
        self.finish()
        self._download = None
        self._task = self._bars.add_task(what, total=total)

    def advance(self, amount: int) -> None:
        """So much more of the stage is done."""
        if self._task is not None:
            self._bars.advance(self._task, amount)

    def transfer(self, transfer: Transfer) -> None:
        """A download got on; it is a stage of its own, counted in bytes."""
        if transfer.name != self._download:
            self.begin(f"downloading {transfer.name}", transfer.total_bytes)
            self._download = transfer.name
        if self._task is not None:
            self._bars.update(self._task, completed=transfer.done_bytes, total=transfer.total_bytes)

    def finish(self) -> None:
        """The stage is over."""
        if self._task is not None:
            task = self._bars.tasks[self._task]
            self._bars.update(self._task, total=task.total or task.completed)


@contextmanager
def stages() -> Iterator[Stages]:
    """Bars on stderr for as long as the block runs."""
    console = Console(stderr=True)
    columns = (
        *(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(RateColumn(), TimeRemainingColumn()),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        progress = Stages(bars)
        yield progress
        progress.finish()
