"""Inert stand-ins for the objects that a weights pickle describes: data only, never resolved or called.

None of them compares or prints its contents, because a hostile file can nest and share them without limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from metagan.checkpoints.source import Source, quote


@dataclass(frozen=True)
class Name:
    """A global that the file names, such as "torch._utils" "_rebuild_tensor_v2". It is never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Table(dict[Any, Any]):
    """A dict that was an OrderedDict or an EasyDict in the file."""


@dataclass(eq=False, repr=False)
class Record:
    """An object whose class is known by name only: a module, a TensorFlow network, a namespace.

    Args:
        class_name: The class's own name, "SynthesisLayer".
        origin: The global that made it.
        state: Its attributes; None until the file has set them.
    """

    class_name: str
    origin: Name
    state: dict[Any, Any] | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Text:
    """A string too long for a name, kept undecoded: embedded source code, or bytes of protocol 2."""

    source: Source


@dataclass(frozen=True, eq=False, repr=False)
class Blob:
    """Long bytes, referenced in place in the file."""

    source: Source


@dataclass(eq=False, repr=False)
class Dtype:
    """A NumPy data type.

    Args:
        code: Kind and width, such as "f4"; always a plain numeric type.
        complete: Whether the file has stated its byte order as little-endian.
    """

    code: str
    complete: bool = False


@dataclass(eq=False, repr=False)
class Array:
    """A NumPy array.

    Args:
        dtype: Its data type; None until the file has stated it.
        shape: Its shape; it fits the number of bytes.
        data: Its bytes.
        fortran: Whether it is stored in Fortran order (the first index varies fastest).
    """

    dtype: Dtype | None = None
    shape: tuple[int, ...] = ()
    data: Source | None = None
    fortran: bool = False


@dataclass(eq=False, repr=False)
class TorchStorage:
    """A torch storage: a flat array that tensors are views of.

    Args:
        dtype: torch's name of the data type, such as "float32".
        numel: Number of elements.
        source: Its bytes; None until they are found, because legacy files hold them after the tensors.
        verify: Raises MalformedFileError if the bytes don't match their checksum; None in files that have none.
    """

    dtype: str
    numel: int
    source: Source | None = None
    verify: Callable[[], None] | None = None


@dataclass(frozen=True, eq=False, repr=False)
class TensorView:
    """A tensor: a view of a storage, counted in elements. Only the types of its fields have been checked."""

    storage: TorchStorage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def describe(value: object) -> str:
    """Describe a value's type for messages, without printing its content."""
    if value is None or type(value) in (bool, int, float):
        return str(value)
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, Name):
        return f"the name {quote(str(value))}"
    if isinstance(value, Record):
        return f"an object of the class {quote(value.class_name)}"
    names = {Table: "a dict", Text: "a long string", Blob: "bytes", TensorView: "a tensor"}
    kind = type(value)
    return names.get(kind, ("an " if kind.__name__[0] in "aeiouAEIOU" else "a ") + kind.__name__)
