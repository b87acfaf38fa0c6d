"""Atomic writes: a file is written next to its place and renamed into it."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`. If the block succeeds, rename it to `path`; otherwise remove it.

    Creates the folder if needed. Errors of the file system (a full disk, no permission) pass through. Errors without a
    file name, such as those of writing, get this file's name.

    Raises:
        OSError: If a pipe, a device or a socket is there, which renaming would replace.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EEXIST, "a pipe or device is there, which is not replaced", str(path))
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


def is_full(error: OSError) -> bool:
    """Whether the disk, a quota or a file's size limit is what an error is about."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def sweep_killed(path: Path) -> None:
    """Remove the temporary files and folders of `path` that processes of this machine left when they were killed.

    What changed within the last minute stays: on a shared disk, it may be another machine's. Windows keeps them all.
    """
    if os.name != "posix" or not path.parent.is_dir():
        return
    for beside in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        pid = beside.name.split(".")[-2]
        if pid.isdecimal() and not _is_running(int(pid)) and time.time() - beside.stat().st_mtime > 60:
            if beside.is_dir():
                shutil.rmtree(beside, ignore_errors=True)
            else:
                beside.unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


@contextmanager
def utf8_path(path: Path) -> Iterator[Path]:
    """Yield a path to the same file for libraries that take UTF-8 only; a name that isn't is opened as a descriptor."""
    if not any(0xD800 <= ord(letter) <= 0xDFFF for letter in str(path)):
        yield path
        return
    with path.open("rb") as file:
        yield Path(f"/dev/fd/{file.fileno()}")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: either all of it, or nothing."""
    with replacing(path) as beside:
        beside.write_bytes(data)


def bytes_told(file: BinaryIO) -> str:
    """An open file's size for a message, "1,048,577"; a pipe or device, which tells none, has "more"."""
    status = os.fstat(file.fileno())
    return f"{status.st_size:,}" if stat.S_ISREG(status.st_mode) else "more"


def sha256_of_file(path: Path) -> str:
    """A file's SHA-256, as 64 lower-case hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
