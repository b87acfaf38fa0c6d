"""Progress of downloads, and when to give up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from metagan.errors import FetchError


@dataclass(frozen=True)
class Transfer:
    """The state of a download.

    Args:
        name: The file's name.
        done_bytes: Bytes downloaded so far.
        total_bytes: The file's size, or None if the host doesn't send it.
    """

    name: str
    done_bytes: int
    total_bytes: int | None


Progress = Callable[[Transfer], None]
"""Called from time to time during a download, and once at its end."""


@dataclass(frozen=True)
class DownloadLimits:
    """When to give up a download.

    Args:
        failures: Number of consecutive failures without any new bytes.
        backoff_s: The pause after the first failure; it doubles after each further one.
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
    """Create the error for a failed download."""
    return FetchError(what, where=source, fix=fix)
