"""Converts inert records to plain data and torch tensors, and a tree of module records to one NetworkRecord."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from metagan.checkpoints.model import NetworkRecord
from metagan.checkpoints.pickles.inert import (
    Array,
    Blob,
    Name,
    Record,
    TensorView,
    Text,
    TorchStorage,
    describe,
)
from metagan.checkpoints.pickles.machine import LAYOUTS, TOO_MUCH
from metagan.checkpoints.source import Source, quote
from metagan.errors import MalformedFileError, UnsafeFileError
from metagan.values import printable

# --------------------------------------------------------------------------------------------
# Converts inert records to plain Python data, with a budget: hostile files nest and share values without limit.

MAX_VALUES: Final = 200_000
MAX_DEPTH: Final = 32
MAX_TEXT_BYTES: Final = 1 << 20
MAX_ARRAY_BYTES: Final = 4 << 20
MAX_JSON_NUMBERS: Final = 4096


class Plain:
    """Copies values from the records, with one budget for a whole file.

    Args:
        source: The file, for messages.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._values_left = MAX_VALUES
        self._bytes_left = MAX_ARRAY_BYTES

    def spend(self, where: str, depth: int, count: int = 1) -> None:
        """Charge visited values to the budget.

        Raises:
            UnsafeFileError: If there are too many values, or they nest too deeply (shared or recursive values).
        """
        self._values_left -= count
        if depth > MAX_DEPTH:
            raise self._unsafe(where, f"want at most {MAX_DEPTH} levels of values, got more")
        if self._values_left < 0:
            raise self._unsafe(where, f"want at most {MAX_VALUES:,} values beside the tensors, got more")

    def value(self, value: object, where: str, depth: int = 0) -> Any:
        """Convert to None, bools, numbers, strings, bytes, NumPy arrays, and lists, tuples, sets and dicts of these.

        An object, or a tensor that is not a parameter (some forks have them), becomes a description.

        Args:
            value: A value from the unpickler.
            where: Its name, for messages.
            depth: Its nesting depth.

        Raises:
            UnsafeFileError: If there are too many values, or too large ones.
            MalformedFileError: If an array has no content.
        """
        self.spend(where, depth)
        if value is None or isinstance(value, bool | int | float | str | bytes):
            return value
        if isinstance(value, dict):
            return {key: self.value(entry, where, depth + 1) for key, entry in value.items()}
        if isinstance(value, list | tuple | set):
            entries = [self.value(entry, where, depth + 1) for entry in value]
            return entries if isinstance(value, list) else type(value)(entries)
        if isinstance(value, Name):
            return str(value)
        return self._long_value(value, where)

    def _long_value(self, value: object, where: str) -> Any:
        if isinstance(value, Array):
            return self._array(value, where)
        if isinstance(value, Text) and len(value.source.data) <= MAX_TEXT_BYTES:
            self._spend_bytes(len(value.source.data), where)
            return str(value.source.data, "utf-8", "replace")
        if isinstance(value, Blob):
            self._spend_bytes(len(value.source.data), where)
            return bytes(value.source.data)
        return describe(value)

    def _array(self, array: Array, where: str) -> Any:
        if array.dtype is None or array.data is None:
            raise self._malformed(where, "an array without content")
        self._spend_bytes(len(array.data.data), where)
        row = np.frombuffer(array.data.data, dtype=np.dtype("<" + LAYOUTS[array.dtype.code])).copy()
        return row.reshape(array.shape, order="F" if array.fortran else "C")

    def _spend_bytes(self, count: int, where: str) -> None:
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise self._unsafe(where, f"want at most {MAX_ARRAY_BYTES:,} bytes beside the tensors, got more")

    def _malformed(self, where: str, found: str) -> MalformedFileError:
        return MalformedFileError(
            f"{quote(where)}: {found}", where=self.source.path, fix="download the file again"
        )

    def _unsafe(self, where: str, found: str) -> UnsafeFileError:
        return UnsafeFileError(f"{quote(where)}: {found}", where=self.source.path, fix=TOO_MUCH)


def jsonable(value: Any) -> Any:
    """Convert plain data to values that are safe for JSON and for a terminal.

    Tuples and small arrays become lists; bytes, large arrays, NaN and infinity become text; control characters are
    escaped.
    """
    if isinstance(value, dict):
        return {printable(str(key)): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(entry) for entry in value]
    if isinstance(value, set):
        return sorted(printable(str(entry), lines=True) for entry in value)
    if isinstance(value, np.ndarray):
        small = value.size <= MAX_JSON_NUMBERS
        return jsonable(value.tolist()) if small else f"array of {value.dtype}, {list(value.shape)}"
    return _jsonable_scalar(value)


def _jsonable_scalar(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value, lines=True)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return f"{len(value):,} bytes" if isinstance(value, bytes) else value


# --------------------------------------------------------------------------------------------
# Converts inert records to torch tensors: checked views of the file's bytes.

MAX_REUSE: Final = 4
MAX_TENSORS: Final = 20_000

# NumPy's codes of the data types that torch has too.
NUMPY_DTYPES: Final = {
    "b1": "bool", "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64", "u1": "uint8",
    "f2": "float16", "f4": "float32", "f8": "float64",
}  # fmt: skip


class LazyTensors(Mapping[str, Tensor]):
    """Tensors by name, each made on first access, because often only one of a file's networks is needed.

    Args:
        makers: A function for each of them. All checks that don't read the data have been made.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Tensor]]) -> None:
        self._makers = dict(makers)
        self._made: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __contains__(self, name: object) -> bool:
        return name in self._makers


class TensorMaker:
    """Makes the tensors of one file, loading storages that several tensors share once.

    All checks are made immediately, except for the checksums of zip members; the data are read later.

    Args:
        source: The file, for messages.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._rows: dict[int, Tensor] = {}
        self._claimed: dict[int, TorchStorage] = {}  # keep references, so that ids of storages stay unique
        self._tensors_left = MAX_TENSORS
        self._bytes_left = MAX_REUSE * len(source.data)
        self._copies_left = len(source.data)

    def view(self, name: str, view: TensorView) -> Callable[[], Tensor]:
        """Return a function that makes a tensor of the file.

        Args:
            name: Its name, for messages.
            view: Its description in the file.

        Raises:
            UnsafeFileError: If it exceeds its storage, repeats elements, or has negative strides.
        """
        self._check(name, view)
        if math.prod(view.size) == 0:
            return partial(torch.empty, view.size, dtype=getattr(torch, view.storage.dtype))
        self._claim(name, view.storage)
        return lambda: self._row(view.storage).as_strided(view.size, view.stride, view.offset)

    def array(self, name: str, array: Array) -> Callable[[], Tensor]:
        """Return a function that makes a tensor from a NumPy array of the file.

        Raises:
            UnsafeFileError: If torch has no such data type.
        """
        if array.dtype is None or array.data is None or array.dtype.code not in NUMPY_DTYPES:
            raise self._unsafe(name, "is no array of numbers that torch has")
        self._count(name)
        dtype = getattr(torch, NUMPY_DTYPES[array.dtype.code])
        if not len(array.data.data):
            return partial(torch.empty, array.shape, dtype=dtype)
        self._spend_copy(name, len(array.data.data))
        return partial(_shaped, array.data, dtype, array.shape, fortran=array.fortran)

    def _check(self, name: str, view: TensorView) -> None:
        """Check bounds before any allocation; a view of more elements than it spans would repeat some."""
        self._count(name)
        elements = math.prod(view.size)
        if elements == 0:
            return
        span = 1 + sum((size - 1) * stride for size, stride in zip(view.size, view.stride, strict=True))
        if view.offset + span > view.storage.numel:
            raise self._unsafe(name, f"reads {view.offset + span:,} of {view.storage.numel:,} stored numbers")
        repeats = any(size > 1 and stride == 0 for size, stride in zip(view.size, view.stride, strict=True))
        if repeats or elements > span:
            raise self._unsafe(name, f"repeats {span:,} stored numbers to {elements:,}")
        self._bytes_left -= elements * getattr(torch, view.storage.dtype).itemsize
        if self._bytes_left < 0:
            most = f"want at most {MAX_REUSE * len(self.source.data):,} bytes"
            raise self._unsafe(name, f"is a view of numbers that others show too: {most} in all, got more")

    def _claim(self, name: str, storage: TorchStorage) -> None:
        """Charge a storage to the budget once, if it will be copied because it isn't aligned."""
        if id(storage) in self._claimed:
            return
        if storage.source is None:
            raise self._unsafe(name, "has no stored numbers")
        self._spend_copy(name, len(storage.source.data))
        self._claimed[id(storage)] = storage

    def _row(self, storage: TorchStorage) -> Tensor:
        if id(storage) not in self._rows and storage.source is not None:
            if storage.verify is not None:
                storage.verify()
            self._rows[id(storage)] = _numbers(storage.source, getattr(torch, storage.dtype))
            storage.source = None  # decoded bytes are freed as soon as they have been copied
        return self._rows[id(storage)]

    def _spend_copy(self, name: str, count: int) -> None:
        self._copies_left -= count
        if self._copies_left < 0:
            most = f"want at most {len(self.source.data):,} bytes, as in the file"
            raise self._unsafe(name, f"is a copy of bytes that others copy too: {most}, got more")

    def _count(self, name: str) -> None:
        self._tensors_left -= 1
        if self._tensors_left < 0:
            raise self._unsafe(name, f"is one too many: want at most {MAX_TENSORS:,}, got more")

    def _unsafe(self, name: str, found: str) -> UnsafeFileError:
        return UnsafeFileError(f"the tensor {quote(name)} {found}", where=self.source.path, fix=TOO_MUCH)


def _numbers(source: Source, dtype: torch.dtype) -> Tensor:
    """View the bytes as numbers in place, or copy them if they are not aligned, as often in pickles."""
    row = torch.frombuffer(source.data, dtype=torch.uint8)
    if row.data_ptr() % dtype.itemsize == 0 and dtype is not torch.bool:
        return row.view(dtype)
    copied = (
        row.ne(0) if dtype is torch.bool else row.clone()
    )  # other values than 0 and 1 are undefined as bools
    source.forget()
    return copied.view(dtype)


def _shaped(source: Source, dtype: torch.dtype, shape: tuple[int, ...], *, fortran: bool) -> Tensor:
    row = _numbers(source, dtype)
    if fortran:
        return row.reshape(shape[::-1]).permute(*reversed(range(len(shape))))
    return row.reshape(shape)


# --------------------------------------------------------------------------------------------
# Flattens a tree of inert module records to one NetworkRecord: tensors and attributes by dotted name.

# Internal attributes of torch's modules.
BOOKKEEPING: Final = frozenset({
    "training", "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_backward_hooks",
    "_backward_pre_hooks", "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
    "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks", "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks", "_is_full_backward_hook", "_is_full_hook",
    "_backend", "_version",
})  # fmt: skip
MAX_NAME: Final = 512
PART: Final = re.compile(r"[A-Za-z0-9_]{1,128}")
FLAT_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,64}([./][A-Za-z0-9_-]{1,64}){0,15}")


class Flattener:
    """Builds the network records of one file.

    Args:
        source: The file.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tensors = TensorMaker(source)
        self.plain = Plain(source)

    def modules(self, record: Record) -> NetworkRecord:
        """Flatten a tree of torch modules.

        Raises:
            MalformedFileError: If a module is incomplete, or a name is invalid.
            UnsafeFileError: If modules contain themselves, or tensors exceed their storage.
        """
        tensors: dict[str, Callable[[], Tensor]] = {}
        attributes: dict[str, Any] = {}
        for prefix, state in self._states(record, "", 0):
            own = self._named(state, "_parameters", prefix) + self._named(state, "_buffers", prefix)
            for name, view in own:
                if not isinstance(view, TensorView) or name in tensors:
                    raise self.malformed(name, f"want one tensor of that name, got {describe(view)}")
                tensors[name] = self.tensors.view(name, view)
            for key, value in state.items():
                if key not in BOOKKEEPING:
                    attributes[self._join(prefix, key)] = self.plain.value(value, f"{prefix}{key}")
        return self.network(record.class_name, tensors, attributes)

    def state_dict(self, class_name: str, state: dict[Any, Any]) -> NetworkRecord:
        """Read a flat dict of tensors; NumPy arrays count as tensors.

        Raises:
            MalformedFileError: If it holds other values, or a name is invalid.
            UnsafeFileError: If tensors exceed their storage.
        """
        tensors = {self.flat(key): self._tensor(str(key), value) for key, value in state.items()}
        return self.network(class_name, tensors, {})

    def malformed(self, where: str, found: str) -> MalformedFileError:
        """Make the error for a network with an invalid structure."""
        return MalformedFileError(
            f"{quote(where)}: {found}", where=self.source.path, fix="download the file again"
        )

    def _states(self, record: Record, prefix: str, depth: int) -> Iterator[tuple[str, dict[Any, Any]]]:
        self.plain.spend(prefix, depth)
        if record.state is None:
            raise self.malformed(prefix, f"{describe(record)} without its state")
        yield prefix, record.state
        for name, child in self._named(record.state, "_modules", prefix):
            if not isinstance(child, Record):
                raise self.malformed(name, f"want a module, got {describe(child)}")
            yield from self._states(child, f"{name}.", depth + 1)

    def _named(self, state: dict[Any, Any], part: str, prefix: str) -> list[tuple[str, Any]]:
        table = state.get(part)
        if not isinstance(table, dict):
            raise self.malformed(f"{prefix}{part}", f"want a dict, got {describe(table)}")
        self.plain.spend(prefix, 0, len(table))
        return [(self._join(prefix, key), value) for key, value in table.items() if value is not None]

    def _join(self, prefix: str, key: object) -> str:
        if not isinstance(key, str) or not PART.fullmatch(key):
            raise self.malformed(prefix, f"want a name of letters, digits and _, got {describe(key)}")
        if len(prefix) + len(key) > MAX_NAME:
            raise self.malformed(prefix, f"at most {MAX_NAME} characters in a name, got {len(prefix + key)}")
        return prefix + key

    def flat(self, key: object) -> str:
        """Check a tensor's name in a flat dict, and return it.

        Raises:
            MalformedFileError: If the name is invalid: a path, an unusual character, or too long.
        """
        if not isinstance(key, str) or not FLAT_NAME.fullmatch(key):
            raise self.malformed("state", f"want a tensor's name, got {describe(key)}")
        return key

    def _tensor(self, name: str, value: object) -> Callable[[], Tensor]:
        if isinstance(value, TensorView):
            return self.tensors.view(name, value)
        if isinstance(value, Array):
            return self.tensors.array(name, value)
        raise self.malformed(name, f"want a tensor, got {describe(value)}")

    def network(
        self, class_name: str, makers: Mapping[str, Callable[[], Tensor]], attributes: dict[str, Any]
    ) -> NetworkRecord:
        """Build a network record whose tensors are made on first access.

        Raises:
            MalformedFileError: If there are no tensors.
        """
        if not makers:
            raise self.malformed(class_name, "a network without a single tensor")
        return NetworkRecord(class_name, LazyTensors(makers), attributes)
