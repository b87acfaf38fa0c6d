"""Converts inert records to plain Python data, with a budget: hostile files nest and share values without limit."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from metagan.checkpoints.pickles.inert import Array, Blob, Name, Text, describe
from metagan.checkpoints.pickles.machine import TOO_MUCH
from metagan.checkpoints.pickles.numpy_parts import LAYOUTS
from metagan.checkpoints.source import Source, quote
from metagan.errors import MalformedFileError, UnsafeFileError
from metagan.values import printable

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
        if self._values_left < 0 or depth > MAX_DEPTH:
            raise self._unsafe(where, "too many values, or values nested in each other without end")

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
            raise self._unsafe(where, f"more than {MAX_ARRAY_BYTES:,} bytes beside the tensors")

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
