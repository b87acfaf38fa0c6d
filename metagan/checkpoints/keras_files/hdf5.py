"""Reads HDF5 files as Keras writes them, without h5py: groups, plain datasets and text attributes.

Written from "HDF5 File Format Specification Version 3.0" (The HDF Group): superblock version 0, object headers
version 1, groups as B-trees with local heaps, contiguous datasets of floats, attributes of fixed or variable-length
strings. h5py and its C library support far more than that, and have often crashed on malformed files. This module
supports only the structures that Keras uses, and checks each of them, because files are not trusted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from metagan.checkpoints.keras_files.bundle import numbers
from metagan.checkpoints.pickles.machine import TOO_MUCH
from metagan.checkpoints.source import Source, quote
from metagan.errors import MalformedFileError

MAGIC: Final = b"\x89HDF\r\n\x1a\n"
MAX_STEPS: Final = (
    200_000  # limit of messages, entries, nodes and texts read; Keras' files have a few hundred
)
MAX_DEPTH: Final = 16
_OTHER: Final = "save the model again as Keras 2 does: model.save('generator.h5')"
_FLOATS: Final = {2: torch.float16, 4: torch.float32, 8: torch.float64}


@dataclass(frozen=True)
class Group:
    """A group of an HDF5 file with its content.

    Args:
        groups: Its subgroups by name.
        datasets: Its tensors by name.
        attributes: Its text attributes by name, each a string or several.
    """

    groups: dict[str, Group] = field(default_factory=dict)
    datasets: dict[str, Tensor] = field(default_factory=dict)
    attributes: dict[str, str | list[str]] = field(default_factory=dict)


def read_hdf5(source: Source) -> Group:
    """Read a file and return its root group.

    Raises:
        MalformedFileError: If the file is damaged, or uses features that Keras' files don't.
        UnsafeFileError: If groups nest too deeply, or claim more data than the file can hold.
    """
    return _File(source).root()


@dataclass(frozen=True)
class _Type:
    """A datatype: its class (1 float, 3 text, 9 text of variable length) and its size in bytes."""

    kind: int
    size: int


class _File:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.steps_left = MAX_STEPS
        self.bytes_left = len(source.data)
        self.open: list[int] = []  # addresses of the groups around the one being read

    def root(self) -> Group:
        head = self.bytes(0, 96)
        if head[:9] != MAGIC + b"\0" or head[13:15] != b"\x08\x08":
            raise self.malformed(8, "an HDF5 file of another version than Keras writes", _OTHER)
        if self.number(24, 8) != 0:
            raise self.malformed(24, "an HDF5 file that doesn't begin where it says")
        return self.group(self.number(64, 8))

    # Groups

    def group(self, address: int) -> Group:
        if address in self.open or len(self.open) >= MAX_DEPTH:
            raise self.source.unsafe(address, "groups nested in each other without end", TOO_MUCH)
        self.open.append(address)
        group = Group()
        for kind, at, size in self.messages(address):
            if kind == 0x0C:
                self.attribute(group, at, size)
            elif kind == 0x11:
                self.entries(group, tree=self.number(at, 8), heap=self.number(at + 8, 8))
            elif kind in (0x02, 0x06):
                raise self.malformed(at, "an HDF5 file whose groups are of a newer layout", _OTHER)
        self.open.pop()
        return group

    def entries(self, group: Group, tree: int, heap: int) -> None:
        if self.bytes(heap, 4) != b"HEAP":
            raise self.malformed(heap, "a group without its names")
        names_size, names = self.number(heap + 8, 8), self.number(heap + 24, 8)
        self.bytes(names, names_size)
        for entry in self.symbols(tree, 0):
            name = self.text(names, names_size, self.number(entry, 8))
            self.child(group, name, self.number(entry + 8, 8))

    def child(self, group: Group, name: str, address: int) -> None:
        if name in group.groups or name in group.datasets:
            raise self.malformed(address, f"two objects called {quote(name)}")
        kinds = {kind for kind, _, _ in self.messages(address)}
        if 0x08 in kinds:
            group.datasets[name] = self.dataset(name, address)
        else:
            group.groups[name] = self.group(address)

    def symbols(self, tree: int, depth: int) -> Iterator[int]:
        """Yield the addresses of a group's entries from a B-tree whose leaves are symbol table nodes."""
        if depth > MAX_DEPTH:
            raise self.source.unsafe(tree, "a tree without end", TOO_MUCH)
        if self.bytes(tree, 5) != b"TREE\0":
            raise self.malformed(tree, "a group without its tree")
        level, used = self.number(tree + 5, 1), self.number(tree + 6, 2)
        for index in range(used):
            self.step(tree)
            child = self.number(tree + 24 + 8 + 16 * index, 8)
            if level:
                yield from self.symbols(child, depth + 1)
                continue
            if self.bytes(child, 4) != b"SNOD":
                raise self.malformed(child, "a group without its list of entries")
            for entry in range(self.number(child + 6, 2)):
                self.step(child)
                yield child + 8 + 40 * entry

    # Objects

    def messages(self, address: int) -> Iterator[tuple[int, int, int]]:
        """Yield an object header's messages: kind, address of the content, size."""
        if self.number(address, 1) != 1:
            raise self.malformed(address, "an HDF5 file whose objects are of a newer layout", _OTHER)
        count, stretches = self.number(address + 2, 2), [(address + 16, self.number(address + 8, 4))]
        while stretches and count > 0:
            at, left = stretches.pop(0)
            while left >= 8 and count > 0:
                self.step(at)
                kind, size = self.number(at, 2), self.number(at + 2, 2)
                flags = self.number(at + 4, 1)
                count, left = count - 1, left - 8 - size
                if left < 0 or flags & 2:
                    raise self.malformed(at, "a message beyond the end of its object, or shared with others")
                self.bytes(at + 8, size)
                if kind == 0x10:
                    stretches.append((self.number(at + 8, 8), self.number(at + 16, 8)))
                else:
                    yield kind, at + 8, size
                at += 8 + size

    def dataset(self, name: str, address: int) -> Tensor:
        found = {kind: at for kind, at, _ in self.messages(address)}
        if not {0x01, 0x03, 0x08} <= found.keys() or 0x0B in found:
            raise self.malformed(
                address, f"the dataset {quote(name)} is packed, or lacks its type or shape", _OTHER
            )
        shape, kind, layout = self.shape(found[0x01]), self.datatype(found[0x03]), found[0x08]
        if kind.kind != 1 or kind.size not in _FLOATS:
            raise self.malformed(found[0x03], f"the dataset {quote(name)} holds no floating-point numbers")
        if self.number(layout, 1) != 3 or self.number(layout + 1, 1) != 1:
            raise self.malformed(layout, f"the dataset {quote(name)} isn't stored in one piece", _OTHER)
        start, size = self.number(layout + 2, 8), self.number(layout + 10, 8)
        wanted = math.prod(shape) * kind.size
        if size != wanted:
            raise self.malformed(
                layout, f"the dataset {quote(name)} wants {wanted:,} bytes, and has {size:,}"
            )
        self.bytes_left -= size
        if size and (start + size > len(self.source.data) or self.bytes_left < 0):
            found_ = f"the dataset {quote(name)} goes beyond the end of the file, or shares its bytes"
            raise self.source.unsafe(layout, found_, TOO_MUCH)
        return numbers(self.source.part(start, size), _FLOATS[kind.size], shape)

    def shape(self, at: int) -> tuple[int, ...]:
        version, rank = self.number(at, 1), self.number(at + 1, 1)
        if version not in (1, 2) or rank > 8:
            raise self.malformed(at, f"a shape of {rank} axes (version {version})")
        first = at + (8 if version == 1 else 4)
        sizes = tuple(self.number(first + 8 * axis, 8) for axis in range(rank))
        if math.prod(sizes) > len(self.source.data):
            raise self.source.unsafe(at, f"a shape of {sizes} in a file that can't hold it", TOO_MUCH)
        return sizes

    def datatype(self, at: int) -> _Type:
        kind = self.number(at, 1) & 0x0F
        if kind == 1 and self.number(at + 1, 1) & 1:
            raise self.malformed(at, "big-endian numbers", _OTHER)
        return _Type(kind, self.number(at + 4, 4))

    # Attributes

    def attribute(self, group: Group, at: int, size: int) -> None:
        version = self.number(at, 1)
        if version not in (1, 2, 3):
            raise self.malformed(at, f"an attribute of version {version}")
        sizes = [self.number(at + 2 + 2 * index, 2) for index in range(3)]
        begin = at + (9 if version == 3 else 8)
        padded = [(length + 7) // 8 * 8 if version == 1 else length for length in sizes]
        type_at, shape_at = begin + padded[0], begin + padded[0] + padded[1]
        data = shape_at + padded[2]
        if data > at + size:
            raise self.malformed(at, "an attribute beyond its object")
        kind, shape = self.datatype(type_at), self.shape(shape_at)
        name = self.text(begin, sizes[0], 0)
        count = math.prod(shape)
        if kind.kind not in (3, 9) or (kind.kind == 9 and kind.size != 16):
            return  # numeric attributes, which Keras' weights don't need
        self.step(at, count)
        if data + count * kind.size > at + size:
            raise self.source.unsafe(at, f"the attribute {quote(name)} is longer than its object", TOO_MUCH)
        if kind.kind == 3:
            texts = [self.text(data + kind.size * index, kind.size, 0) for index in range(count)]
        else:
            texts = [self.long_text(data + 16 * index) for index in range(count)]
        group.attributes[name] = texts if shape else texts[0]

    def long_text(self, at: int) -> str:
        """Read a text from the global heap by its reference: length, collection, index."""
        length, collection, wanted = self.number(at, 4), self.number(at + 4, 8), self.number(at + 12, 4)
        if length == 0:
            return ""
        if self.bytes(collection, 4) != b"GCOL":
            raise self.malformed(at, "a text that isn't where it should be")
        position, end = collection + 16, collection + self.number(collection + 8, 8)
        while position + 16 <= end:
            self.step(position)
            index, size = self.number(position, 2), self.number(position + 8, 8)
            if index == 0:
                break
            if index == wanted:
                self.bytes_left -= length
                if length > size:
                    raise self.malformed(at, f"a text of {length:,} bytes in a place for {size:,}")
                if self.bytes_left < 0:
                    most = f"want at most {len(self.source.data):,} bytes in texts, as in the file"
                    raise self.source.unsafe(at, f"{most}, got more", TOO_MUCH)
                return self.bytes(position + 16, length).decode("utf-8", "replace").rstrip("\0")
            position += 16 + (size + 7) // 8 * 8
        raise self.malformed(at, "a text that isn't where it should be")

    # Bytes

    def step(self, at: int, count: int = 1) -> None:
        self.steps_left -= count
        if self.steps_left < 0:
            raise self.source.unsafe(at, f"want at most {MAX_STEPS:,} things in a file, got more", TOO_MUCH)

    def bytes(self, at: int, count: int) -> bytes:
        if at + count > len(self.source.data):
            raise self.malformed(len(self.source.data), "truncated: the file tells of bytes beyond its end")
        return bytes(self.source.data[at : at + count])

    def number(self, at: int, width: int) -> int:
        return int.from_bytes(self.bytes(at, width), "little")

    def text(self, at: int, size: int, offset: int) -> str:
        if offset > size:
            raise self.malformed(at, "a name beyond the group's names")
        raw = self.bytes(at + offset, min(size - offset, 1 << 20))
        return raw.partition(b"\0")[0].decode("utf-8", "replace")

    def malformed(self, at: int, found: str, remedy: str = "download the file again") -> MalformedFileError:
        return self.source.malformed(at, found, remedy)
