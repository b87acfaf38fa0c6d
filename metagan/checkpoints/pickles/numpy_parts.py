"""NumPy data types, arrays and scalars in pickles, checked before any data is read."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, Final

from metagan.checkpoints.pickles.inert import Array, Blob, Dtype, Name, Text, describe
from metagan.checkpoints.pickles.machine import TOO_MUCH, Machine
from metagan.checkpoints.source import Source

MAX_DIMENSIONS: Final = 8
MAX_COUNT: Final = 1 << 48

# NumPy's codes of plain numeric types, and struct's; all others (objects, records, strings) are refused.
LAYOUTS: Final[Mapping[str, str]] = {
    "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q",
    "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip


def make_dtype(machine: Machine, arguments: tuple[Any, ...]) -> Dtype:
    """`numpy.dtype("f4", align, copy)`, its byte order still to come.

    Raises:
        UnsafeFileError: If it is not a plain numeric type, such as Python objects.
    """
    code = arguments[0] if arguments else None
    if len(arguments) != 3 or type(code) is not str or code not in LAYOUTS:
        raise machine.unsafe(f"want a NumPy array of plain numbers, got the data type {describe(code)}")
    return Dtype(code, complete=code[1:] == "1")


def build_dtype(machine: Machine, dtype: Dtype, state: object) -> None:
    """A data type's state: `(3, "<", None, None, None, -1, -1, 0)`."""
    plain = (
        isinstance(state, tuple) and len(state) == 8 and state[0] == 3 and state[2:5] == (None, None, None)
    )
    if not plain or not isinstance(state, tuple) or state[1] not in ("<", "|"):
        raise machine.malformed("want a NumPy data type of little-endian plain numbers")
    dtype.complete = True


def make_array(machine: Machine, arguments: tuple[Any, ...]) -> Array:
    """`numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), b"b")`: an array whose state is to come."""
    if len(arguments) != 3 or arguments[0] != Name("numpy", "ndarray") or arguments[1] != (0,):
        raise machine.unsafe("want NumPy's way to make an empty array, got other arguments", TOO_MUCH)
    return Array()


def build_array(machine: Machine, array: Array, state: object) -> None:
    """An array's state: `(1, shape, dtype, fortran, bytes)`.

    Raises:
        UnsafeFileError: If the shape doesn't fit the bytes, or the elements are not plain numbers.
    """
    if not isinstance(state, tuple) or len(state) != 5 or state[0] != 1 or array.dtype is not None:
        raise machine.malformed("want a NumPy array's state of five parts")
    _fill(machine, array, shape=state[1], dtype=state[2], fortran=bool(state[3]), content=state[4])


def array_from_buffer(machine: Machine, arguments: tuple[Any, ...]) -> Array:
    """`numpy.core.numeric._frombuffer(bytes, dtype, shape, order)`, as protocol 5 has it."""
    if len(arguments) != 4 or arguments[3] not in ("C", "F"):
        raise machine.malformed("want a NumPy buffer of four parts")
    content, dtype, shape, order = arguments
    array = Array()
    _fill(machine, array, shape=shape, dtype=dtype, fortran=order == "F", content=content)
    return array


def _fill(
    machine: Machine, array: Array, *, shape: object, dtype: object, fortran: bool, content: object
) -> None:
    if not isinstance(dtype, Dtype) or not dtype.complete:
        raise machine.malformed(f"want a complete NumPy data type, got {describe(dtype)}")
    source = content_of(machine, content)
    sizes = shape_of(shape)
    if sizes is None:
        raise machine.unsafe("want a NumPy shape of a few whole numbers", TOO_MUCH)
    wanted = math.prod(sizes) * struct.calcsize("<" + LAYOUTS[dtype.code])
    if wanted != len(source.data):
        raise machine.unsafe(f"a NumPy array of {wanted:,} bytes in {len(source.data):,}", TOO_MUCH)
    array.dtype, array.shape, array.data, array.fortran = dtype, sizes, source, fortran


def make_scalar(machine: Machine, arguments: tuple[Any, ...]) -> bool | int | float:
    """`numpy.core.multiarray.scalar(dtype, bytes)` as a Python number."""
    if len(arguments) != 2 or not isinstance(arguments[0], Dtype) or not arguments[0].complete:
        raise machine.unsafe("want a NumPy scalar of a plain number")
    layout, source = "<" + LAYOUTS[arguments[0].code], content_of(machine, arguments[1])
    if len(source.data) != struct.calcsize(layout):
        raise machine.malformed(f"a NumPy scalar {arguments[0].code} of {len(source.data)} bytes")
    number: bool | int | float = struct.unpack(layout, source.data)[0]
    return number


def encode(machine: Machine, arguments: tuple[Any, ...]) -> bytes | Blob:
    """`_codecs.encode(text, "latin1")`: how protocol 2 writes bytes.

    Raises:
        UnsafeFileError: If the codec is another one, or one text is encoded repeatedly.
    """
    if (
        len(arguments) != 2
        or arguments[1] not in ("latin1", "latin-1")
        or not isinstance(arguments[0], str | Text)
    ):
        raise machine.unsafe("want text to be turned into bytes by latin1, got other arguments")
    text = arguments[0]
    if isinstance(text, Text):
        machine.budget.encoded_bytes -= len(text.source.data)
        text = _decode(machine, text)
    else:
        machine.budget.encoded_bytes -= len(text)
    if machine.budget.encoded_bytes < 0:
        raise machine.unsafe("the same bytes over and over", TOO_MUCH)
    try:
        content = bytearray(text, "latin-1")
    except UnicodeEncodeError as error:
        raise machine.malformed("bytes written as text that is no latin1") from error
    return (
        bytes(content)
        if len(content) <= 255
        else Blob(Source(machine.source.path, memoryview(content), None))
    )


def _decode(machine: Machine, text: Text) -> str:
    try:
        decoded = str(text.source.data, "utf-8")
    except UnicodeDecodeError as error:
        raise machine.malformed("a string that is not UTF-8") from error
    text.source.forget()
    return decoded


def content_of(machine: Machine, content: object) -> Source:
    """Return bytes from any of their representations in a pickle."""
    if isinstance(content, Blob):
        return content.source
    if isinstance(content, bytes):
        return Source(machine.source.path, memoryview(bytearray(content)), None)
    raise machine.unsafe(f"want bytes, got {describe(content)}", TOO_MUCH)


def whole_numbers(value: object) -> tuple[int, ...] | None:
    """Return a short tuple of non-negative integers, or None if the value is something else."""
    if not isinstance(value, tuple) or len(value) > MAX_DIMENSIONS:
        return None
    return value if all(type(entry) is int and 0 <= entry < MAX_COUNT for entry in value) else None


def shape_of(value: object) -> tuple[int, ...] | None:
    """Return a shape whose product, without zeros, fits torch's index type, or None if it is something else."""
    sizes = whole_numbers(value)
    return sizes if sizes is not None and math.prod(filter(None, sizes)) < MAX_COUNT else None
