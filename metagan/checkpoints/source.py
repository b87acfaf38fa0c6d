"""A stranger's file, mapped into memory: bytes are looked at where they lie, never copied unasked."""

from __future__ import annotations

import mmap
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from metagan.errors import MalformedFileError, UnsafeFileError
from metagan.fetch.weights_file import unreadable

QUOTED_CHARS = 100


@dataclass(frozen=True, eq=False, repr=False)
class Source:
    """Bytes to read, and the words to say where in the file they are.

    Args:
        path: The file, for messages.
        data: The bytes. Writable for torch's sake; the map is private, so nothing written reaches the file.
        start: Where `data` begins in the file; None for bytes that were decoded from it.
        mapping: The file's memory map; None for bytes that were decoded.
    """

    path: Path
    data: memoryview
    start: int | None = 0
    mapping: mmap.mmap | None = None

    def part(self, start: int, length: int) -> Source:
        """A stretch of these bytes, without copying; the caller has checked that it is inside."""
        position = None if self.start is None else self.start + start
        return Source(self.path, self.data[start : start + length], position, self.mapping)

    def malformed(
        self, offset: int, found: str, remedy: str = "download the file again"
    ) -> MalformedFileError:
        """The error for bytes that make no sense."""
        return MalformedFileError(found, where=self._at(offset), fix=remedy)

    def unsafe(self, offset: int, found: str, remedy: str) -> UnsafeFileError:
        """The error for bytes that ask for code, or for more than is reasonable."""
        return UnsafeFileError(found, where=self._at(offset), fix=remedy)

    def forget(self) -> None:
        """Let the system take back the memory of these bytes, which were copied; they can be read again."""
        if self.mapping is None or self.start is None or not hasattr(self.mapping, "madvise"):
            return
        page = mmap.PAGESIZE
        first = -(-self.start // page) * page
        length = (self.start + len(self.data)) // page * page - first
        if length > 0:
            self.mapping.madvise(mmap.MADV_DONTNEED, first, length)

    def _at(self, offset: int) -> str:
        if self.start is None:
            return f"{self.path}: byte {offset} of a storage inside"
        return f"{self.path}: byte {self.start + offset}"


def open_source(path: Path) -> Source:
    """Map a weights file into memory.

    Raises:
        MalformedFileError: It is empty, or no regular file (a folder, a pipe, a device).
        CheckpointError: It isn't there, or can't be read.
    """
    try:
        mapping = _map(path)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    return Source(path, memoryview(mapping), 0, mapping)


def _map(path: Path) -> mmap.mmap:
    mode = path.stat().st_mode  # before opening: to open a pipe would wait for its writer
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise MalformedFileError(f"want a weights file, got {kind}", where=path, fix="name the file itself")
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise MalformedFileError("the file is empty", where=path, fix="download it again")
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def quote(text: str) -> str:
    """A stranger's text for a message: in quotes, on one line, in plain characters, not too long."""
    return ascii(text if len(text) <= QUOTED_CHARS else text[:QUOTED_CHARS] + "...")
