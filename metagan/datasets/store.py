"""Reads files from a folder or zip by name, without extracting them.

Names are used as keys, never as paths to write to. Files are read up to a limit, whatever size the zip states. Stores
can be sent to other processes, because each process opens the zip itself.
"""

from __future__ import annotations

import json
import os
import threading
import zipfile
import zlib
from pathlib import Path
from typing import Any

from metagan.errors import DatasetError

MAX_FILE_BYTES = 512 * 2**20


class UnreadableError(Exception):
    """A single file that can't be read, with the reason."""


PACK_AGAIN = "pack the pictures again"


def open_store(path: Path) -> Store:
    """Open the folder or zip at `path`.

    Raises:
        DatasetError: If it does not exist, or is neither.
    """
    if path.is_dir():
        return FolderStore(path)
    if not path.exists():
        raise DatasetError("there is no such folder or zip", where=path, fix="check the path")
    if not path.is_file() or not zipfile.is_zipfile(path):  # a pipe or device may never end
        raise DatasetError(
            "neither a folder nor a zip file",
            where=path,
            fix="name the folder that contains the pictures, or a zip of it",
        )
    return ZipStore(path)


class FolderStore:
    """The files of a folder and its sub-folders. Links to folders are not followed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> tuple[str, ...]:
        """Return the sorted names of all files. Raises DatasetError if a folder can't be listed."""
        found = []
        for folder, folders, files in os.walk(self.path, onerror=_refuse_folder):
            folders.sort()
            inside = Path(folder).relative_to(self.path)
            found += [(inside / name).as_posix() for name in files]
        return tuple(sorted(found))

    def read(self, name: str) -> bytes:
        """Read a file. Raises UnreadableError."""
        file = self.path / name
        try:
            if not file.is_file():
                raise UnreadableError("not a regular file" if file.exists() else "missing")
            _check_size(file.stat().st_size)
            return file.read_bytes()
        except OSError as error:
            raise UnreadableError(error.strerror or str(error)) from error


class ZipStore:
    """The members of a zip file. Each process that reads it opens it again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive: zipfile.ZipFile | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def names(self) -> tuple[str, ...]:
        """Return the sorted names of all members. Raises DatasetError if the zip is damaged."""
        return tuple(sorted({info.filename for info in self._open().infolist() if not info.is_dir()}))

    def read(self, name: str) -> bytes:
        """Read a member. Raises UnreadableError."""
        archive = self._open()
        try:
            info = archive.getinfo(name)
            _check_size(info.file_size)
            with archive.open(info) as member:
                data = member.read(MAX_FILE_BYTES + 1)
        except KeyError as error:
            raise UnreadableError("missing") from error
        except (
            RuntimeError
        ) as error:  # encrypted, or compressed by a method that this Python does not support
            raise UnreadableError(str(error)) from error
        except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise UnreadableError(f"damaged in the zip ({error})") from error
        _check_size(len(data))
        return data

    def _open(self) -> zipfile.ZipFile:
        with self._lock:
            if (
                self._archive is None or self._owner != os.getpid()
            ):  # a fork shares its parent's file position
                try:
                    self._archive = zipfile.ZipFile(self.path)
                except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
                    raise DatasetError(
                        f"a damaged zip file ({error})",
                        where=self.path,
                        fix="create it again, or name the folder instead",
                    ) from error
                self._owner = os.getpid()
            return self._archive


Store = FolderStore | ZipStore  # names() sorted, with forward slashes; read(name) within MAX_FILE_BYTES


def read_json(store: Store, name: str) -> dict[str, Any]:
    """Read a JSON object from a file. Raises DatasetError if it is missing, damaged or not an object."""
    try:
        value = json.loads(store.read(name))
    except (UnreadableError, ValueError, RecursionError) as error:
        raise DatasetError(f"{name}: {error}", where=store.path, fix=PACK_AGAIN) from error
    if not isinstance(value, dict):
        raise DatasetError(
            f"{name}: want a JSON object, got {type(value).__name__}", where=store.path, fix=PACK_AGAIN
        )
    return value


def _check_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise UnreadableError(
            f"{size / 2**20:,.0f} MiB when read; the limit for one file is {MAX_FILE_BYTES >> 20} MiB"
        )


def _refuse_folder(error: OSError) -> None:
    raise DatasetError(
        f"can't be listed ({error.strerror})",
        where=error.filename,
        fix="change its permissions or move it away",
    ) from error
