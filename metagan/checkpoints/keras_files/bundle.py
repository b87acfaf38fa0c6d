"""Reads TensorFlow's tensor bundles, the weights of a SavedModel: an index by name, and a data file.

`variables.index` is a sorted table in LevelDB's layout: blocks of entries whose keys share prefixes, an index
block, and a footer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

from metagan.checkpoints.pickles.machine import TOO_MUCH
from metagan.checkpoints.source import Source, quote

MAGIC: Final = (0xDB4775248B80FB57).to_bytes(8, "little")
FOOTER_SIZE: Final = 48
MAX_ENTRIES: Final = 20_000
MAX_INDEX_BYTES: Final = 16 << 20
MAX_KEY: Final = 512

# TensorFlow's codes of the data types that weights have; 7, a string, holds the object graph.
_DTYPES: Final = {1: torch.float32, 2: torch.float64, 3: torch.int32, 9: torch.int64, 19: torch.float16}
_STRING: Final = 7


def read_bundle(index: Source, data: Source) -> dict[str, Tensor]:
    """Return the tensors of a bundle by name, in the order of the index; strings are left out.

    Args:
        index: `variables.index`.
        data: `variables.data-00000-of-00001`.

    Raises:
        MalformedFileError: If the index is damaged, or refers to data outside the data file.
        UnsafeFileError: If the index claims more data than the files can hold.
    """
    if len(index.data) > MAX_INDEX_BYTES:
        raise index.unsafe(
            0, f"want at most {MAX_INDEX_BYTES:,} bytes in an index, got {len(index.data):,}", TOO_MUCH
        )
    tensors: dict[str, Tensor] = {}
    bytes_left, end = len(data.data), 0
    for key, value in _table(index):
        if key == b"":
            continue  # the bundle's header: the number of files
        name = key.decode("utf-8", "replace")
        dtype, shape, offset, size = _entry(index, name, value)
        if dtype == _STRING:
            continue
        if dtype not in _DTYPES:
            raise index.malformed(0, f"{quote(name)} holds numbers of a type {dtype} that weights don't have")
        if size != math.prod(shape) * _DTYPES[dtype].itemsize or offset + size > len(data.data):
            raise data.malformed(offset, f"{quote(name)} wants {list(shape)} out of {size:,} bytes")
        bytes_left -= size
        end = max(end, offset + size)
        if name in tensors or bytes_left < 0:
            raise index.unsafe(0, f"{quote(name)} is there twice, or shares its bytes with others", TOO_MUCH)
        tensors[name] = numbers(data.part(offset, size), _DTYPES[dtype], shape)
    return tensors


def numbers(source: Source, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """Copy bytes into a tensor. Callers check that the number of bytes fits the shape."""
    if not len(source.data):
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(source.data, dtype=torch.uint8).clone().view(dtype).reshape(shape)


def _table(source: Source) -> Iterator[tuple[bytes, bytes]]:
    """Yield the entries of the table in order."""
    footer = len(source.data) - FOOTER_SIZE
    if footer < 0 or bytes(source.data[-8:]) != MAGIC:
        raise source.malformed(max(footer, 0), "no index of a tensor bundle: truncated, or something else")
    reader = Reader(source, footer)
    reader.varint(), reader.varint()  # the metaindex block, which is empty in bundles
    entries = 0
    for _, handle in _block(source, reader.varint(), reader.varint()):
        start, length = _handle(source, handle)
        for entry in _block(source, start, length):
            entries += 1
            if entries > MAX_ENTRIES:
                raise source.unsafe(start, f"want at most {MAX_ENTRIES:,} entries, got more", TOO_MUCH)
            yield entry


def _block(source: Source, start: int, length: int) -> Iterator[tuple[bytes, bytes]]:
    if length < 4 or start + length + 5 > len(source.data):
        raise source.malformed(start, f"a block of {length:,} bytes goes beyond the end of the index")
    if source.data[start + length] != 0:
        raise source.malformed(start + length, "a compressed block, which TensorFlow's bundles don't have")
    restarts = int.from_bytes(source.data[start + length - 4 : start + length], "little")
    end = start + length - 4 - 4 * restarts
    reader, key = Reader(source, start, max(end, start)), b""
    while reader.position < end:
        shared, rest, size = reader.varint(), reader.varint(), reader.varint()
        if shared > len(key) or shared + rest > MAX_KEY:
            raise source.malformed(reader.position, "a key that doesn't follow from the one before")
        key = key[:shared] + reader.take(rest)
        yield key, reader.take(size)


def _handle(source: Source, value: bytes) -> tuple[int, int]:
    reader = Reader(_decoded(source, value), 0)
    return reader.varint(), reader.varint()


def _entry(source: Source, name: str, value: bytes) -> tuple[int, tuple[int, ...], int, int]:
    """Parse one tensor's type, shape, offset and size: fields 1, 2, 4 and 5 of a BundleEntryProto."""
    fields = dict(message_fields(_decoded(source, value)))
    shard = fields.get(3, 0)
    if shard != 0 or 7 in fields:
        raise source.malformed(
            0, f"{quote(name)} lies in several files, or in slices; metagan reads one file"
        )
    shape = []
    for number, dimension in message_fields(_decoded(source, _bytes(fields.get(2, b"")))):
        if number == 2:
            shape.append(_number(dict(message_fields(_decoded(source, _bytes(dimension)))).get(1, 0)))
    if len(shape) > 8 or any(size < 0 or size > 2**31 for size in shape):
        raise source.malformed(0, f"{quote(name)} has the shape {shape[:9]}")
    return (
        _number(fields.get(1, 0)),
        tuple(shape),
        _number(fields.get(4, 0)),
        _number(fields.get(5, 0)),
    )


def _number(value: int | bytes) -> int:
    return value if isinstance(value, int) else -1


def _bytes(value: int | bytes) -> bytes:
    return value if isinstance(value, bytes) else b""


def _decoded(source: Source, value: bytes) -> Source:
    return Source(source.path, memoryview(value), None)


def message_fields(source: Source) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a protobuf message as numbers or bytes; repeated fields are yielded one by one.

    Raises:
        MalformedFileError: If it is not a protobuf message.
    """
    reader = Reader(source, 0)
    while reader.position < len(source.data):
        tag = reader.varint()
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            yield number, reader.varint()
        elif kind == 2:
            yield number, reader.take(reader.varint())
        elif kind in (1, 5):
            yield number, int.from_bytes(reader.take(8 if kind == 1 else 4), "little")
        else:
            raise source.malformed(reader.position, f"no protobuf message: a field of kind {kind}")


class Reader:
    """Reads numbers and bytes in sequence, with bounds checks."""

    def __init__(self, source: Source, position: int, end: int | None = None) -> None:
        self.source = source
        self.position = position
        self.end = len(source.data) if end is None else end

    def varint(self) -> int:
        """Read a varint: seven bits per byte, at most 64 bits."""
        value = 0
        for shift in range(0, 70, 7):
            if self.position >= self.end:
                break
            byte = self.source.data[self.position]
            self.position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF
        raise self.source.malformed(self.position, "a number without an end: truncated or damaged")

    def take(self, count: int) -> bytes:
        """Read the next `count` bytes."""
        if count > self.end - self.position:
            raise self.source.malformed(self.position, f"wants {count:,} bytes more than there are")
        self.position += count
        return bytes(self.source.data[self.position - count : self.position])
