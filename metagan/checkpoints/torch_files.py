"""Reads both containers that torch.save has written: the legacy one, and zip files (torch >= 1.6)."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from metagan.checkpoints.pickles.inert import Blob, Name, TorchStorage, describe
from metagan.checkpoints.pickles.machine import TOO_MUCH, Allowed, Behaviour, Budget, Machine, content_of, run
from metagan.checkpoints.source import Source
from metagan.checkpoints.zip_directory import Member, find_member, read_member, verify_member

# --------------------------------------------------------------------------------------------
# Storage ids and storage classes, which both of torch's containers use.

# The storage classes of torch, with their data type and its size in bytes.
STORAGES: Final[Mapping[str, tuple[str, int]]] = {
    "FloatStorage": ("float32", 4), "HalfStorage": ("float16", 2), "DoubleStorage": ("float64", 8),
    "BFloat16Storage": ("bfloat16", 2), "LongStorage": ("int64", 8), "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2), "CharStorage": ("int8", 1), "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
}  # fmt: skip
STORAGE_NAMES: Final = {("torch", name): Behaviour() for name in STORAGES}
KEY: Final = re.compile(r"[0-9]{1,20}")


@dataclass(frozen=True)
class StorageId:
    """A pickle's reference to a storage.

    Args:
        key: Its key in the container.
        dtype: torch's name of its data type, such as "float32".
        itemsize: Bytes per element.
        numel: Number of elements.
        view: (view's key, offset, count) for a part of a storage, as in very old files, or None.
    """

    key: str
    dtype: str
    itemsize: int
    numel: int
    view: tuple[str, int, int] | None


def storage_id(machine: Machine, identifier: object) -> StorageId:
    """Read `("storage", class, key, location, numel[, view])`; the location, "cuda:0", doesn't matter.

    Raises:
        UnsafeFileError: If it is another id, such as that of a module with its source code.
    """
    if not isinstance(identifier, tuple) or len(identifier) not in (5, 6) or identifier[0] != "storage":
        raise machine.unsafe(f"a reference to something that is no tensor data: {describe(identifier)}")
    _, cls, key, location, numel = identifier[:5]
    if not isinstance(cls, Name) or cls.module != "torch" or cls.name not in STORAGES:
        raise machine.unsafe(f"want a class of tensor data, got {describe(cls)}")
    if type(key) is not str or not KEY.fullmatch(key) or type(location) is not str:
        raise machine.unsafe(f"want tensor data by number, got {describe(key)}", TOO_MUCH)
    if type(numel) is not int or numel < 0:
        raise machine.unsafe(f"want a count of numbers, got {describe(numel)}", TOO_MUCH)
    dtype, itemsize = STORAGES[cls.name]
    return StorageId(key, dtype, itemsize, numel, _view(machine, identifier[5:], numel))


def _view(machine: Machine, last: tuple[Any, ...], numel: int) -> tuple[str, int, int] | None:
    if not last or last[0] is None:
        return None
    view = last[0]
    if not isinstance(view, tuple) or len(view) != 3 or type(view[0]) is not str:
        raise machine.malformed(f"want a stretch of tensor data, got {describe(view)}")
    key, offset, count = view
    if type(offset) is not int or type(count) is not int or min(offset, count) < 0 or offset + count > numel:
        raise machine.unsafe("a stretch of tensor data that is not inside it", TOO_MUCH)
    return key, offset, count


# --------------------------------------------------------------------------------------------
# Reads torch's legacy files, and the storages nested in official pickles, which have the same layout.
#
# A file is a sequence of five pickles (a magic number, a version, system information, the object, the storages'
# keys), then for each key a count and the raw data.

MAGIC: Final = 0x1950A86A20F9469CFC6C
MAGIC_PICKLE: Final = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
VERSION: Final = 1001
COUNT: Final = struct.Struct("<q")


class _LegacyReader:
    """Collects the storages that the object pickle refers to; their data follow it."""

    def __init__(self, source: Source, allowed: Allowed, budget: Budget) -> None:
        self.source = source
        self.allowed = allowed
        self.budget = budget
        self.position = 0
        self.wanted: dict[str, StorageId] = {}
        self.storages: dict[str, TorchStorage] = {}
        self.stretches: list[tuple[TorchStorage, str, int, int]] = []

    def pickle(self, allowed: Allowed, *, storages: bool = False) -> Any:
        loader = self.load_storage if storages else None
        machine = Machine(self.source, self.position, allowed, self.budget, loader)
        value = run(machine)
        self.position = machine.position
        return value

    def load_storage(self, machine: Machine, identifier: object) -> TorchStorage:
        wanted = storage_id(machine, identifier)
        first = self.wanted.setdefault(wanted.key, wanted)
        if (first.dtype, first.numel) != (wanted.dtype, wanted.numel):
            raise machine.malformed(f"storage {wanted.key} is described in two ways")
        storage = self.storages.setdefault(wanted.key, TorchStorage(wanted.dtype, wanted.numel))
        if wanted.view is None:
            return storage
        _, offset, count = wanted.view
        stretch = TorchStorage(wanted.dtype, count)
        self.stretches.append((stretch, wanted.key, offset * wanted.itemsize, count * wanted.itemsize))
        return stretch

    def fill(self, keys: object) -> None:
        if not isinstance(keys, list) or any(type(key) is not str for key in keys):
            raise self.source.malformed(self.position, f"want a list of storage keys, got {describe(keys)}")
        if sorted(keys) != sorted(self.wanted):
            raise self.source.malformed(
                self.position, "the storages in the file are not those that its tensors name"
            )
        for key in keys:
            self._fill_one(key)
        for stretch, key, start, length in self.stretches:
            whole = self.storages[key].source
            stretch.source = None if whole is None else whole.part(start, length)

    def _fill_one(self, key: str) -> None:
        wanted, left = self.wanted[key], len(self.source.data) - self.position - COUNT.size
        if left < 0:
            raise self.source.malformed(self.position, f"storage {key} is missing: truncated")
        (count,) = COUNT.unpack_from(self.source.data, self.position)
        length = wanted.numel * wanted.itemsize
        if count != wanted.numel:
            raise self.source.malformed(
                self.position, f"storage {key} has {count:,} numbers, want {wanted.numel:,}"
            )
        if length > left:
            found = f"storage {key} wants {length:,} bytes, {left:,} are left: truncated"
            raise self.source.malformed(self.position, found)
        self.storages[key].source = self.source.part(self.position + COUNT.size, length)
        self.position += COUNT.size + length


def read_legacy(source: Source, allowed: Allowed, budget: Budget) -> Any:
    """Read the object in a legacy torch file, with its storages.

    Args:
        source: The whole file, or the bytes of a nested storage.
        allowed: The globals that the object may name.
        budget: The remaining budget of this file.

    Raises:
        MalformedFileError, UnsafeFileError: On the conditions of `unpickle`, or if a storage is missing or truncated.
    """
    reader = _LegacyReader(source, allowed, budget)
    for what, wanted in (("magic number", MAGIC), ("version", VERSION)):
        found = reader.pickle({})
        if type(found) is not int or found != wanted:
            raise source.malformed(reader.position, f"want torch's {what} {wanted}, got {describe(found)}")
    facts = reader.pickle({})
    if not isinstance(facts, dict) or facts.get("little_endian") is not True:
        raise source.malformed(reader.position, "want a torch file of a little-endian machine")
    value = reader.pickle(allowed, storages=True)
    reader.fill(reader.pickle({}))
    left = len(source.data) - reader.position
    if left:
        raise source.malformed(reader.position, f"{left:,} bytes follow the last storage; want none")
    return value


def nested_storage(machine: Machine, arguments: tuple[Any, ...]) -> TorchStorage:
    """`torch.storage._load_from_bytes(bytes)`: a legacy file of one storage, inside an official pickle."""
    if len(arguments) != 1 or not isinstance(arguments[0], Blob | bytes):
        raise machine.unsafe("want the bytes of one storage, got other arguments", TOO_MUCH)
    source = content_of(machine, arguments[0])
    if bytes(source.data[: len(MAGIC_PICKLE)]) != MAGIC_PICKLE:
        raise machine.unsafe("a nested storage that is no torch file of the old layout")
    storage = read_legacy(source, STORAGE_NAMES, machine.budget)
    if not isinstance(storage, TorchStorage):
        raise machine.malformed(f"want one storage, got {describe(storage)}")
    return storage


# --------------------------------------------------------------------------------------------
# Reads torch's zip files (torch >= 1.6): an object pickle, and a member for each storage.

OBJECT: Final = "/data.pkl"


class _ZipReader:
    """Finds the storages that the object pickle refers to among the zip's members."""

    def __init__(self, source: Source, members: Mapping[str, Member], root: str) -> None:
        self.source = source
        self.members = members
        self.root = root
        self.storages: dict[str, TorchStorage] = {}
        self.bytes_left = len(source.data)

    def load_storage(self, machine: Machine, identifier: object) -> TorchStorage:
        wanted = storage_id(machine, identifier)
        if wanted.view is not None:
            raise machine.malformed("a stretch of a storage, which zip files don't have")
        storage = self.storages.get(wanted.key)
        if storage is None:
            name = f"{self.root}/data/{wanted.key}"
            content = find_member(self.source, self.members, name)
            self.bytes_left -= len(content.data)
            if self.bytes_left < 0:
                raise machine.unsafe("members of the zip archive that share their bytes", TOO_MUCH)
            length = wanted.numel * wanted.itemsize
            if length != len(content.data):
                found = f"storage {wanted.key} wants {length:,} bytes, its member has {len(content.data):,}"
                raise machine.unsafe(found, TOO_MUCH)
            storage = self.storages[wanted.key] = TorchStorage(
                wanted.dtype, wanted.numel, content, partial(verify_member, content, self.members[name])
            )
        if (storage.dtype, storage.numel) != (wanted.dtype, wanted.numel):
            raise machine.malformed(f"storage {wanted.key} is described in two ways")
        return storage


def torch_root(members: Mapping[str, Member]) -> str | None:
    """Return the folder in a zip that holds torch's object pickle, or None if it is not a torch file."""
    roots = [name.removesuffix(OBJECT) for name in members if name.endswith(OBJECT) and name.count("/") == 1]
    return roots[0] if len(roots) == 1 else None


def read_zip(
    source: Source, members: Mapping[str, Member], root: str, allowed: Allowed, budget: Budget
) -> Any:
    """Read the object in a torch zip file, with its storages.

    Args:
        source: The whole file.
        members: Its directory.
        root: The folder that holds the object, as `torch_root` gives it.
        allowed: The globals that the object may name.
        budget: The remaining budget of this file.

    Raises:
        MalformedFileError, UnsafeFileError: On the conditions of `unpickle`, or if a storage is missing, damaged or
        of another size.
    """
    order = members.get(f"{root}/byteorder")
    if order is not None and bytes(read_member(source, members, order.name).data) != b"little":
        raise source.malformed(order.header_at, "want a torch file of a little-endian machine")
    content = read_member(source, members, f"{root}{OBJECT}")
    machine = Machine(content, 0, allowed, budget, _ZipReader(source, members, root).load_storage)
    value = run(machine)
    if machine.position != len(content.data):
        raise content.malformed(machine.position, "bytes follow the end of the object's pickle; want none")
    return value
