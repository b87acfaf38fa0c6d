"""Downloads on stderr: name, how much of it, rate, time left; silent when stderr is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

if TYPE_CHECKING:
    from metagan.checkpoints.transfer import Transfer


@contextmanager
def show_downloads() -> Iterator[Callable[[Transfer], None]]:
    """Bars for as long as the block runs; the value is what `locate_weights` takes as its progress."""
    console = Console(stderr=True)
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), DownloadColumn()),
        *(TransferSpeedColumn(), TimeRemainingColumn()),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:

        def show(transfer: Transfer) -> None:
            if transfer.name not in tasks:
                tasks[transfer.name] = bars.add_task(transfer.name, total=transfer.total_bytes)
            bars.update(tasks[transfer.name], completed=transfer.done_bytes, total=transfer.total_bytes)

        yield show
