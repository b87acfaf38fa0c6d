"""Files: atomic writes, next to a file's place and renamed into it, and reads that come to an end."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from metagan.errors import MetaganError, OptionError

_PROTOCOL = re.compile(r"[a-z][a-z0-9+.-]+:")  # of two letters at least: c: is a drive


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`. If the block succeeds, rename it to `path`; otherwise remove it.

    Creates the folder if needed. Errors of the file system (a full disk, no permission) pass through. Errors without a
    file name, such as those of writing, get this file's name.

    Raises:
        OSError: If nothing can be written there, see `require_place`.
    """
    require_place(path)
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


def real_path(path: Path) -> Path:
    """Follow links. One that leads back to itself stays, for which Path.resolve has a RuntimeError."""
    return Path(os.path.realpath(path))


def require_place(path: Path, *, folder: bool = False) -> None:
    """Refuse a place for a result at which nothing can be written.

    Args:
        path: The place; nothing has to be there yet.
        folder: Whether the result is a folder.

    Raises:
        OSError: If a file stands where a folder has to be, a link leads to itself or nowhere, or a pipe, a device or a
            socket is there, which writing would replace; or if it is an address, s3://bucket/x, which would become a
            folder s3: on this machine.
    """
    _refuse_address(path)
    for place in (path, *path.parents):
        is_folder = folder or place != path
        try:
            mode = place.stat().st_mode
        except FileNotFoundError:
            if is_folder and place.is_symlink():
                raise OSError(errno.ENOENT, "a symbolic link to nothing", str(place)) from None
            continue
        except NotADirectoryError:
            continue  # one of its parents is a file
        except OSError as error:
            if error.errno == errno.ELOOP and not place.is_symlink():
                continue  # one of its parents leads back to itself
            if error.errno == errno.ELOOP:
                raise OSError(errno.ELOOP, "a symbolic link that leads back to itself", str(place)) from None
            raise
        if is_folder and stat.S_ISREG(mode):
            raise OSError(errno.ENOTDIR, "a file is there, where a folder has to be", str(place))
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise OSError(errno.EEXIST, "a pipe or device is there, which is not replaced", str(place))
        return


def require_outside(out: Path | None, source: Path | None, name: str = "--out") -> None:
    """Refuse a result in the folder that it is made from, where the next run would take it for a part of that.

    Args:
        out: The place of the result, if there is one.
        source: A folder that is read; a file, or None, has nothing inside.
        name: What the user calls `out`.

    Raises:
        OptionError: If `out` is the folder, or lies in it.
    """
    if (
        out is not None
        and source is not None
        and source.is_dir()
        and real_path(out).is_relative_to(real_path(source))
    ):
        raise OptionError(
            f"{name} {out}: it lies in {source}, which is read, and the next run would take it in",
            fix=f"choose a place outside {source}",
        )


def require_other(out: Path | None, *inputs: Path | None, name: str = "--out") -> None:
    """Refuse a result in the place of a file that it is made from.

    Raises:
        OptionError: If `out` is one of the inputs, under whatever name.
    """
    for given in inputs:
        if out is not None and given is not None and out.exists() and given.exists() and out.samefile(given):
            raise OptionError(
                f"{name} {out}: it is what is read, and would be lost", fix="choose another name"
            )


def require_regular(path: Path) -> None:
    """Refuse to read a pipe, a device or a socket, which may never end.

    Raises:
        OSError: If it is one, or there is nothing.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))


def why_no_file(path: Path) -> str:
    """What to say of a path that is no regular file."""
    kind = "a folder" if path.is_dir() else "no regular file"
    return f"it is {kind}" if path.exists() else "there is no such file"


def _refuse_address(path: Path) -> None:
    if len(path.parts) > 1 and _PROTOCOL.fullmatch(path.parts[0]) and not Path(path.parts[0]).exists():
        raise OSError(errno.EINVAL, "an address; want a place on this machine", str(path))


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read its bytes; a pipe or device is refused, see `require_regular`."""
    require_regular(path)
    return path.open("rb")


def read_bytes(path: Path) -> bytes:
    """A file's bytes; a pipe or device is refused, see `require_regular`."""
    require_regular(path)
    return path.read_bytes()


def explain(error: OSError) -> MetaganError:
    """An error of the file system as one that says what to do."""
    fix = "free some space" if is_full(error) else "check that file or folder and its permissions"
    what = error.strerror or str(error)
    return MetaganError(what, where=error.filename, fix=f"{fix}, then run the command again")


def reason_of(error: Exception) -> str:
    """What an error says, without the number and the file's name that those of the system begin and end with."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def is_full(error: OSError) -> bool:
    """Whether the disk, a quota or a file's size limit is what an error is about."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def sweep_killed(path: Path) -> None:
    """Remove the temporary files and folders of `path` that processes of this machine left when they were killed.

    What changed within the last minute stays: on a shared disk, it may be another machine's. Windows keeps them all.
    """
    _sweep(path.parent, f".{glob.escape(path.name)}.*.tmp")


def sweep_folder(folder: Path) -> None:
    """Remove the temporary files of all files in a folder likewise, those of the safetensors library too.

    Call it where no other process writes.
    """
    _sweep(folder, ".*.tmp")
    if os.name == "posix" and folder.is_dir():
        for beside in folder.glob(".tmp??????"):  # its names have no process
            if beside.is_file() and time.time() - beside.stat().st_mtime > 60:
                beside.unlink(missing_ok=True)


def _sweep(folder: Path, pattern: str) -> None:
    if os.name != "posix" or not folder.is_dir():
        return
    for beside in folder.glob(pattern):
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
    """Yield a path to the same file for libraries that take UTF-8 only; a name that isn't is opened as a descriptor.

    Raises:
        OSError: If it is a pipe or device, which such a library would wait for.
    """
    require_regular(path)
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
