"""Reads a zip file's directory strictly: one directory, exact names, members stored uncompressed.

PKWARE APPNOTE.TXT 6.3.9, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.14 to 4.3.16 (end records).
Nothing is ever written to disk, so a member's name is only a key. The standard library's zipfile was tried on the
hostile reference files: of their 17 archives it accepts, checksums included, three that are refused here, two of which
begin after other data, and one that has two members of a name. Checks for these can stand around it, but where a
member's bytes begin, which mapping tensors in place needs, is in the local headers, which it doesn't expose.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from metagan.checkpoints.source import Source, quote
from metagan.errors import MalformedFileError

MAGIC: Final = b"PK\x03\x04"
MAX_MEMBERS: Final = 20_000
MAX_RATIO: Final = 200
DEFLATED: Final = 8

_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_MAX_32: Final = 0xFFFFFFFF
_MAX_COMMENT: Final = 0xFFFF


@dataclass(frozen=True)
class Member:
    """One file in the archive.

    Args:
        name: Its name, used as a key and never as a path.
        method: Compression method; 0 is stored.
        crc: CRC-32 of its content.
        packed_size: Its compressed size in bytes.
        size: Its uncompressed size in bytes.
        header_at: Offset of its local header.
    """

    name: str
    method: int
    crc: int
    packed_size: int
    size: int
    header_at: int


@dataclass(frozen=True)
class _Directory:
    start: int
    length: int
    count: int
    end: int


def read_directory(source: Source) -> dict[str, Member]:
    """Return the archive's members by name.

    Raises:
        MalformedFileError: If there is no directory (truncation), two members have one name, or records disagree.
    """
    found = _find_directory(source)
    if found.count > MAX_MEMBERS:
        raise source.malformed(found.start, f"want at most {MAX_MEMBERS:,} members, got {found.count:,}")
    members: dict[str, Member] = {}
    for member in _entries(source, found.start, found.end):
        if member.name in members:
            raise source.malformed(found.start, f"two members are called {quote(member.name)}")
        if len(members) == found.count:
            raise source.malformed(found.start, f"more members than the {found.count:,} that are announced")
        members[member.name] = member
    return members


def read_member(source: Source, members: Mapping[str, Member], name: str) -> Source:
    """Return a member's bytes in place, after verifying their checksum.

    Raises:
        MalformedFileError: If there is no such member, or it is compressed, encrypted, out of bounds or damaged.
    """
    content = find_member(source, members, name)
    verify_member(content, members[name])
    return content


def verify_member(content: Source, member: Member) -> None:
    """Check the CRC-32 of a member's bytes.

    Raises:
        MalformedFileError: If it differs from the directory's.
    """
    if zlib.crc32(content.data) != member.crc:
        raise content.malformed(0, f"the member {quote(member.name)} is damaged: its CRC-32 is wrong")


def find_member(source: Source, members: Mapping[str, Member], name: str) -> Source:
    """Return a member's bytes in place, without verifying their checksum; see `verify_member`.

    Raises:
        MalformedFileError: If there is no such member, or it is compressed, encrypted or out of bounds.
    """
    member = members.get(name)
    if member is None:
        raise source.malformed(0, f"the archive has no member {quote(name)}")
    if member.method != 0 or member.packed_size != member.size:
        found = f"the member {quote(name)} is packed ({member.size:,} bytes); torch doesn't pack"
        raise source.malformed(member.header_at, found, "save the checkpoint again with torch.save")
    start = _content_start(source, member)
    if start + member.size > len(source.data):
        raise source.malformed(member.header_at, f"the member {quote(name)} goes beyond the end of the file")
    return source.part(start, member.size)


def inflate_member(source: Source, members: Mapping[str, Member], name: str, most: int) -> Source:
    """Return a member's bytes decompressed, or in place if they are stored.

    Args:
        source: The whole file.
        members: Its directory.
        name: The member.
        most: Limit of its decompressed size in bytes.

    Raises:
        MalformedFileError: If there is no such member, or it is encrypted, out of bounds or damaged.
        UnsafeFileError: If it decompresses to more than `most` bytes.
    """
    member = members.get(name)
    if member is None or member.method == 0:
        return read_member(source, members, name)
    start = _content_start(source, member)
    if member.method != DEFLATED or start + member.packed_size > len(source.data):
        raise source.malformed(
            member.header_at, f"the member {quote(name)} is packed in an unknown way, or cut off"
        )
    if member.size > most or member.size > MAX_RATIO * member.packed_size:
        found = f"the member {quote(name)} unpacks from {member.packed_size:,} to {member.size:,} bytes"
        raise source.unsafe(
            member.header_at, found, "a trained network doesn't pack like that: get another file"
        )
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = unpacker.decompress(source.data[start : start + member.packed_size], member.size + 1)
    except zlib.error as error:
        raise source.malformed(start, f"the member {quote(name)} is damaged: {error}") from error
    if len(content) != member.size or zlib.crc32(content) != member.crc:
        raise source.malformed(start, f"the member {quote(name)} is damaged: its size or CRC-32 is wrong")
    return Source(source.path, memoryview(bytearray(content)), None)


def _find_directory(source: Source) -> _Directory:
    data = source.data
    tail_start = max(0, len(data) - _END.size - _MAX_COMMENT)
    end_at = tail_start + bytes(data[tail_start:]).rfind(b"PK\x05\x06")
    if end_at < tail_start or end_at + _END.size > len(data):
        raise _truncated(source)
    _, disk, first_disk, _, count, length, start, comment = _END.unpack_from(data, end_at)
    if disk or first_disk or end_at + _END.size + comment != len(data):
        raise source.malformed(end_at, "the zip archive doesn't end where the file ends")
    directory = _Directory(start, length, count, end_at)
    if bytes(data[max(0, end_at - _LOCATOR_64.size) :][:4]) == b"PK\x06\x07":  # torch always writes one
        directory = _directory_64(source, end_at, directory)
    if directory.start + directory.length != directory.end:
        raise source.malformed(end_at, "the zip archive doesn't begin where the file begins")
    return directory


def _directory_64(source: Source, end_at: int, short: _Directory) -> _Directory:
    """Read the zip64 end record; the short record's values must agree, or be marked as too large."""
    locator_at = end_at - _LOCATOR_64.size
    _, disk, record_at, disks = _LOCATOR_64.unpack_from(source.data, locator_at)
    if disk or disks != 1 or record_at + _END_64.size != locator_at:
        raise _truncated(source)
    magic, *_, count, length, start = _END_64.unpack_from(source.data, record_at)
    agrees = (
        short.start in (start, _MAX_32)
        and short.length in (length, _MAX_32)
        and short.count in (count, 0xFFFF)
    )
    if magic != b"PK\x06\x06" or not agrees:
        raise source.malformed(record_at, "the zip archive has two ends that contradict each other")
    return _Directory(start, length, count, record_at)


def _truncated(source: Source) -> MalformedFileError:
    return source.malformed(len(source.data), "a zip archive without its directory: truncated or damaged")


def _entries(source: Source, start: int, end: int) -> Iterator[Member]:
    position = start
    while position < end:
        if position + _ENTRY.size > end:
            raise source.malformed(position, "the zip directory is cut off")
        entry = _ENTRY.unpack_from(source.data, position)
        magic, _, _, flags, method, _, _, crc, packed, size, name_len, extra_len, comment_len, *_, header = (
            entry
        )
        content_at = position + _ENTRY.size
        position = content_at + name_len + extra_len + comment_len
        if magic != b"PK\x01\x02" or flags & 1 or position > end:
            raise source.malformed(content_at, "a damaged or encrypted entry of the zip directory")
        name = bytes(source.data[content_at : content_at + name_len]).decode("utf-8", "replace")
        extra = bytes(source.data[content_at + name_len : content_at + name_len + extra_len])
        size, packed, header = _widen(extra, size, packed, header)
        yield Member(name, method, crc, packed, size, header)


def _widen(extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
    """Read the values that don't fit 32 bits from the zip64 field."""
    numbers = iter(_zip64_numbers(extra))
    widened = [next(numbers, value) if value == _MAX_32 else value for value in (size, packed, header)]
    return widened[0], widened[1], widened[2]


def _zip64_numbers(extra: bytes) -> tuple[int, ...]:
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        field = extra[position + 4 : position + 4 + length]
        if kind == 1:
            return struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8])
        position += 4 + length
    return ()


def _content_start(source: Source, member: Member) -> int:
    """Return the offset after the local header, which must exist and have the same name."""
    if member.header_at + _LOCAL.size > len(source.data):
        raise source.malformed(
            member.header_at, f"the member {quote(member.name)} is beyond the end of the file"
        )
    local = _LOCAL.unpack_from(source.data, member.header_at)
    name_at = member.header_at + _LOCAL.size
    name = bytes(source.data[name_at : name_at + local[9]]).decode("utf-8", "replace")
    if local[0] != MAGIC or name != member.name:
        raise source.malformed(
            member.header_at, f"the member {quote(member.name)} is not where the directory says"
        )
    return name_at + int(local[9]) + int(local[10])
