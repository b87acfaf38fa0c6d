"""Reads torch's legacy files, and the storages nested in official pickles, which have the same layout.

A file is a sequence of five pickles (a magic number, a version, system information, the object, the storages'
keys), then for each key a count and the raw data.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from metagan.checkpoints.pickles.inert import Blob, Storage, describe
from metagan.checkpoints.pickles.machine import TOO_MUCH, Allowed, Budget, Machine
from metagan.checkpoints.pickles.numpy_parts import content_of
from metagan.checkpoints.pickles.unpickle import run
from metagan.checkpoints.source import Source
from metagan.checkpoints.torch_files.storage import STORAGE_NAMES, StorageId, storage_id

MAGIC: Final = 0x1950A86A20F9469CFC6C
MAGIC_PICKLE: Final = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
VERSION: Final = 1001
COUNT: Final = struct.Struct("<q")


class _Reader:
    """Collects the storages that the object pickle refers to; their data follow it."""

    def __init__(self, source: Source, allowed: Allowed, budget: Budget) -> None:
        self.source = source
        self.allowed = allowed
        self.budget = budget
        self.position = 0
        self.wanted: dict[str, StorageId] = {}
        self.storages: dict[str, Storage] = {}
        self.stretches: list[tuple[Storage, str, int, int]] = []

    def pickle(self, allowed: Allowed, *, storages: bool = False) -> Any:
        loader = self.load_storage if storages else None
        machine = Machine(self.source, self.position, allowed, self.budget, loader)
        value = run(machine)
        self.position = machine.position
        return value

    def load_storage(self, machine: Machine, identifier: object) -> Storage:
        wanted = storage_id(machine, identifier)
        first = self.wanted.setdefault(wanted.key, wanted)
        if (first.dtype, first.numel) != (wanted.dtype, wanted.numel):
            raise machine.malformed(f"storage {wanted.key} is described in two ways")
        storage = self.storages.setdefault(wanted.key, Storage(wanted.dtype, wanted.numel))
        if wanted.view is None:
            return storage
        _, offset, count = wanted.view
        stretch = Storage(wanted.dtype, count)
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
    reader = _Reader(source, allowed, budget)
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


def nested_storage(machine: Machine, arguments: tuple[Any, ...]) -> Storage:
    """`torch.storage._load_from_bytes(bytes)`: a legacy file of one storage, inside an official pickle."""
    if len(arguments) != 1 or not isinstance(arguments[0], Blob | bytes):
        raise machine.unsafe("want the bytes of one storage, got other arguments", TOO_MUCH)
    source = content_of(machine, arguments[0])
    if bytes(source.data[: len(MAGIC_PICKLE)]) != MAGIC_PICKLE:
        raise machine.unsafe("a nested storage that is no torch file of the old layout")
    storage = read_legacy(source, STORAGE_NAMES, machine.budget)
    if not isinstance(storage, Storage):
        raise machine.malformed(f"want one storage, got {describe(storage)}")
    return storage
