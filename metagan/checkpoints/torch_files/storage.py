"""Storage ids and storage classes, which both of torch's containers use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from metagan.checkpoints.pickles.inert import Name, describe
from metagan.checkpoints.pickles.machine import TOO_MUCH, Behaviour, Machine

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
