"""Maps an untrusted file into memory, so that its bytes are read in place without copies."""

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
    """Bytes to read, with their place in the file for messages.

    Args:
        path: The file, for messages.
        data: The bytes. Writable because torch wants it; the mapping is private, so writes don't reach the file.
        start: Offset of `data` in the file; None for bytes that were decoded from it.
        mapping: The file's memory map; None for bytes that were decoded.
    """

    path: Path
    data: memoryview
    start: int | None = 0
    mapping: mmap.mmap | None = None

    def part(self, start: int, length: int) -> Source:
        """Return a slice of these bytes without copying. Callers check the bounds."""
        position = None if self.start is None else self.start + start
        return Source(self.path, self.data[start : start + length], position, self.mapping)

    def malformed(
        self, offset: int, found: str, remedy: str = "download the file again"
    ) -> MalformedFileError:
        """Make the error for invalid bytes."""
        return MalformedFileError(f"{self._at(offset)}: {found}", where=self.path, fix=remedy)

    def unsafe(self, offset: int, found: str, remedy: str) -> UnsafeFileError:
        """Make the error for bytes that request code, or too many resources."""
        return UnsafeFileError(f"{self._at(offset)}: {found}", where=self.path, fix=remedy)

    def forget(self) -> None:
        """Release the memory pages of these bytes after copying them; they can be read again."""
        if self.mapping is None or self.start is None or not hasattr(self.mapping, "madvise"):
            return
        page = mmap.PAGESIZE
        first = -(-self.start // page) * page
        length = (self.start + len(self.data)) // page * page - first
        if length > 0:
            self.mapping.madvise(mmap.MADV_DONTNEED, first, length)

    def _at(self, offset: int) -> str:
        if self.start is None:
            return f"byte {offset} of a storage inside"
        return f"byte {self.start + offset}"


def open_source(path: Path) -> Source:
    """Map a weights file into memory.

    Raises:
        MalformedFileError: If it is empty, or not a regular file (a folder, a pipe, a device).
        CheckpointError: If it doesn't exist, or can't be read.
    """
    try:
        mapping = _map(path)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    return Source(path, memoryview(mapping), 0, mapping)


def _map(path: Path) -> mmap.mmap:
    mode = path.stat().st_mode  # check before opening: opening a pipe would wait for its writer
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise MalformedFileError(f"want a weights file, got {kind}", where=path, fix="name the file itself")
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise MalformedFileError("the file is empty", where=path, fix="download it again")
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def quote(text: str) -> str:
    """Format untrusted text for a message: in quotes, on one line, in plain characters, shortened."""
    return ascii(text if len(text) <= QUOTED_CHARS else text[:QUOTED_CHARS] + "...")
