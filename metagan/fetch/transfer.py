"""How a download goes on, told to whoever shows it, and how long it may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from metagan.errors import FetchError


@dataclass(frozen=True)
class Transfer:
    """A download at one moment.

    Args:
        name: The file's name.
        done_bytes: How much of it is here.
        total_bytes: How large it is; None when its host doesn't say.
    """

    name: str
    done_bytes: int
    total_bytes: int | None


Progress = Callable[[Transfer], None]
"""Called now and then while a file is downloaded, and once at its end."""


@dataclass(frozen=True)
class Patience:
    """When a download is given up.

    Args:
        failures: So many in a row, without a byte gained between them.
        backoff_s: The pause after the first failure; it doubles with each further one.
        connect_s: How long to wait for a connection.
        read_s: How long to wait for the next bytes.
        lock_s: How long to wait for another process that downloads the same file.
    """

    failures: int = 4
    backoff_s: float = 1.0
    connect_s: float = 15.0
    read_s: float = 60.0
    lock_s: float = 3600.0


def fetch_error(source: str, what: str, fix: str) -> FetchError:
    """A failed download in the form that all messages have: where, what, and the way out."""
    return FetchError(f"{source}: {what}\n  fix: {fix}")
