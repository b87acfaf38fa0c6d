"""Reads files from a folder or zip by name, without extracting them.

Names are used as keys, never as paths to write to. Files are read up to a limit, whatever size the zip states. Stores
can be sent to other processes, because each process opens the zip itself.
"""

from __future__ import annotations

import json
import lzma
import os
import threading
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from metagan.errors import DatasetError
from metagan.values import counted, printable

MAX_FILE_BYTES = 512 * 2**20


class UnreadableError(Exception):
    """A single file that can't be read, with the reason."""


MEND = "mend it, or pack with `--labels folders` or `--labels none`"


def plain_name(name: str) -> str:
    """A file's name as labels are matched by: forward slashes, no empty or "." parts, composed letters (NFC)."""
    parts = unicodedata.normalize("NFC", name.replace("\\", "/")).split("/")
    return "/".join(part for part in parts if part not in ("", "."))


class Layout:
    """What the pictures of a folder or zip are called in the files beside them, such as dataset.json.

    Such a file may lie at the top, or in a folder that all pictures lie in: a desktop's "compress" makes zips with
    one folder at the top.

    Args:
        names: All files of a store.
        pictures: Those that may be pictures.
    """

    def __init__(self, names: Sequence[str], pictures: Sequence[str]) -> None:
        self._names = {plain_name(name): name for name in names}
        folders = [plain_name(name).split("/")[:-1] for name in pictures]
        self._top = min(folders, default=[])
        for parts in folders:  # the parts that all begin with
            same = takewhile(lambda pair: pair[0] == pair[1], zip(self._top, parts, strict=False))
            self._top = [part for part, _ in same]

    def find(self, name: str) -> str | None:
        """The file of this name that lies over all pictures, the outermost if there are several."""
        places = ("/".join([*self._top[:depth], name]) for depth in range(len(self._top) + 1))
        return next((self._names[place] for place in places if place in self._names), None)

    def all(self, ending: str) -> list[str]:
        """All files of this name or ending, wherever they lie, but for hidden ones."""
        found = []
        for plain, name in self._names.items():
            parts = plain.split("/")
            hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
            if not hidden and (parts[-1] == ending or (ending[0] == "." and plain.lower().endswith(ending))):
                found.append(name)
        return found

    def relative(self, picture: str) -> str:
        """A picture's plain name below the folder that all lie in."""
        return "/".join(plain_name(picture).split("/")[len(self._top) :])

    def known_as(self, picture: str, file: str = "") -> tuple[str, ...]:
        """The names under which `file` may list a picture: from that file's folder on, from the top, or from the
        folder that all pictures lie in."""
        plain, folder = plain_name(picture), plain_name(file).rpartition("/")[0]
        return (plain.removeprefix(f"{folder}/"), plain, self.relative(picture))


def open_store(path: Path) -> Store:
    """Open the folder or zip at `path`.

    Raises:
        DatasetError: If it does not exist, or is neither.
    """
    if path.is_dir():
        return FolderStore(path)
    if not path.exists():
        raise DatasetError("there is no such folder or zip", where=path, fix="check the path")
    is_file = path.is_file()  # a pipe or device may never end
    if not is_file or not zipfile.is_zipfile(path):
        raise DatasetError(
            "neither a folder nor a zip file" + ("" if is_file else ": it is no regular file"),
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

    def repeated(self) -> tuple[str, ...]:
        """Return nothing: a folder has no two files of one name."""
        return ()

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
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._repeated: tuple[str, ...] = ()
        self._owner = 0
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def names(self) -> tuple[str, ...]:
        """Return the sorted names of all members. Raises DatasetError if the zip is damaged."""
        self._open()
        return tuple(sorted(self._members))

    def repeated(self) -> tuple[str, ...]:
        """Return the sorted names that several members have, of which the last is read. Raises DatasetError."""
        self._open()
        return self._repeated

    def read(self, name: str) -> bytes:
        """Read a member. Raises UnreadableError."""
        archive = self._open()
        try:
            info = self._members[name]
            _check_size(info.file_size)
            with archive.open(info) as member:
                data = member.read(MAX_FILE_BYTES + 1)
        except KeyError as error:
            raise UnreadableError("missing") from error
        except (
            RuntimeError
        ) as error:  # encrypted, or compressed by a method that this Python does not support
            raise UnreadableError(str(error)) from error
        except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
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
                listed = [(_name_of(info), info) for info in self._archive.infolist() if not info.is_dir()]
                self._members = dict(listed)
                twice = Counter(name for name, _ in listed)
                self._repeated = tuple(sorted(name for name, count in twice.items() if count > 1))
            return self._archive


_UTF8_FLAG = 0x800
_UNIX = 3


def _name_of(info: zipfile.ZipInfo) -> str:
    """A member's name. Without the flag for UTF-8, zipfile reads code page 437, as DOS wrote it.

    Many programs write UTF-8 and forget the flag; those of Unix write whatever bytes the file system has.
    """
    name = info.filename
    if name.isascii() or info.flag_bits & _UTF8_FLAG:
        return name
    try:
        raw = name.encode("cp437")
    except UnicodeEncodeError:  # a name from the zip's own field for Unicode
        return name
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("utf-8", "surrogateescape") if info.create_system == _UNIX else name


Store = FolderStore | ZipStore  # names() sorted, with forward slashes; read(name) within MAX_FILE_BYTES


def say_repeated(names: Sequence[str]) -> str:
    """Say which names a zip has more than once."""
    first = printable(names[0])
    return (
        f"{counted(len(names), 'name')} more than once in the zip, and the last file is read: such as {first}"
    )


def read_json(store: Store, name: str, fix: str = MEND) -> dict[str, Any]:
    """Read a JSON object from a file. Raises DatasetError if it is missing, damaged or not an object."""
    try:
        value = json.loads(store.read(name))
    except (UnreadableError, ValueError, RecursionError) as error:
        raise DatasetError(f"{printable(name)}: {error}", where=store.path, fix=fix) from error
    if not isinstance(value, dict):
        raise DatasetError(
            f"{printable(name)}: want a JSON object, got {type(value).__name__}", where=store.path, fix=fix
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
