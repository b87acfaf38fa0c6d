"""Atomic writes: a file is written next to its place and renamed into it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`. If the block succeeds, rename it to `path`; otherwise remove it.

    Creates the folder if needed. Errors of the file system (a full disk, no permission) pass through. Errors without a
    file name, such as those of writing, get this file's name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield beside
        beside.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        beside.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: either all of it, or nothing."""
    with replacing(path) as beside:
        beside.write_bytes(data)


def sha256_of_file(path: Path) -> str:
    """A file's SHA-256, as 64 lower-case hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
