"""Inert stand-ins for what a weights pickle describes: data only, never looked up, never called.

None of them compares or prints its contents: a hostile file nests and shares them without end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from metagan.checkpoints.source import Source, quote


@dataclass(frozen=True)
class Name:
    """A global that the file names, "torch._utils" "_rebuild_tensor_v2"; nothing is imported for it."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Table(dict[Any, Any]):
    """A dict that was an OrderedDict or an EasyDict in the file."""


@dataclass(eq=False, repr=False)
class Record:
    """An object of a class known by name: a module, a TensorFlow network, a namespace.

    Args:
        class_name: The class's own name, "SynthesisLayer".
        origin: The global that made it.
        state: Its attributes; None until the file has said them.
    """

    class_name: str
    origin: Name
    state: dict[Any, Any] | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Text:
    """A string too long to be a name, kept undecoded: embedded source, or bytes of protocol 2."""

    source: Source


@dataclass(frozen=True, eq=False, repr=False)
class Blob:
    """Many bytes, left where they lie in the file."""

    source: Source


@dataclass(eq=False, repr=False)
class Dtype:
    """A NumPy data type.

    Args:
        code: Kind and width, "f4"; always one of the plain numbers.
        complete: Whether its byte order was stated, and is little-endian.
    """

    code: str
    complete: bool = False


@dataclass(eq=False, repr=False)
class Array:
    """A NumPy array.

    Args:
        dtype: Its numbers; None until the file has said.
        shape: Its shape; the product fits the bytes.
        data: Its bytes.
        fortran: Whether the first index runs fastest.
    """

    dtype: Dtype | None = None
    shape: tuple[int, ...] = ()
    data: Source | None = None
    fortran: bool = False


def _nothing_to_verify() -> None:
    pass


@dataclass(eq=False, repr=False)
class Storage:
    """A row of numbers that tensors look into.

    Args:
        dtype: torch's name of the numbers, "float32".
        numel: How many there are.
        source: Their bytes; None until they were found, because old files hold them after the tensors.
        verify: Raises MalformedFileError if the bytes aren't those that were written, where the file can tell.
    """

    dtype: str
    numel: int
    source: Source | None = None
    verify: Callable[[], None] = _nothing_to_verify


@dataclass(frozen=True, eq=False, repr=False)
class TensorView:
    """A tensor: a view of a storage. All counts are elements; nothing is checked yet but the types."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def describe(value: object) -> str:
    """What a value is, for messages; never prints what it holds."""
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
