"""Reads torch's zip files (torch >= 1.6): an object pickle, and a member for each storage."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from metagan.checkpoints.pickles.inert import Storage
from metagan.checkpoints.pickles.machine import TOO_MUCH, Allowed, Budget, Machine
from metagan.checkpoints.pickles.unpickle import run
from metagan.checkpoints.source import Source
from metagan.checkpoints.torch_files.storage import storage_id
from metagan.checkpoints.zip_directory import Member, find_member, read_member, verify_member

OBJECT: Final = "/data.pkl"


class _Reader:
    def __init__(self, source: Source, members: Mapping[str, Member], root: str) -> None:
        self.source = source
        self.members = members
        self.root = root
        self.storages: dict[str, Storage] = {}
        self.bytes_left = len(source.data)

    def load_storage(self, machine: Machine, identifier: object) -> Storage:
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
            storage = self.storages[wanted.key] = Storage(
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
    machine = Machine(content, 0, allowed, budget, _Reader(source, members, root).load_storage)
    value = run(machine)
    if machine.position != len(content.data):
        raise content.malformed(machine.position, "bytes follow the end of the object's pickle; want none")
    return value
