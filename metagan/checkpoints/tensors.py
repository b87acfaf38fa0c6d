"""From inert records to torch tensors: checked views of the file's own bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from metagan.checkpoints.model import NetworkRecord
from metagan.checkpoints.pickles.inert import Array, Storage, TensorView
from metagan.checkpoints.pickles.machine import TOO_MUCH
from metagan.checkpoints.source import Source, quote
from metagan.errors import MalformedFileError, UnsafeFileError

MAX_REUSE: Final = 4
MAX_TENSORS: Final = 20_000

# NumPy's codes of the numbers that torch has too.
NUMPY_DTYPES: Final = {
    "b1": "bool", "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64", "u1": "uint8",
    "f2": "float16", "f4": "float32", "f8": "float64",
}  # fmt: skip


class LazyTensors(Mapping[str, Tensor]):
    """Tensors by name, each made when it is first asked for: of most files only one network is wanted.

    Args:
        makers: What makes each of them. All that can be checked without touching their numbers has been checked.
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
    """Makes the tensors of one file; a storage that several tensors share is loaded once.

    Everything is checked at once, but for the sum over a zip archive's member; numbers are touched later.

    Args:
        source: The file, for messages.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._rows: dict[int, Tensor] = {}
        self._claimed: dict[int, Storage] = {}  # kept, so that no two storages ever have one id
        self._tensors_left = MAX_TENSORS
        self._bytes_left = MAX_REUSE * len(source.data)
        self._copies_left = len(source.data)

    def view(self, name: str, view: TensorView) -> Callable[[], Tensor]:
        """What makes a tensor of the file.

        Args:
            name: Its name, for messages.
            view: What the file says of it.

        Raises:
            UnsafeFileError: It looks outside its storage, repeats elements, or goes backwards.
        """
        self._check(name, view)
        if math.prod(view.size) == 0:
            return partial(torch.empty, view.size, dtype=getattr(torch, view.storage.dtype))
        self._claim(name, view.storage)
        return lambda: self._row(view.storage).as_strided(view.size, view.stride, view.offset)

    def array(self, name: str, array: Array) -> Callable[[], Tensor]:
        """What makes a NumPy array of the file a tensor.

        Raises:
            UnsafeFileError: Its numbers are none that torch has.
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
        """Bounds before any allocation; a view of more elements than it spans repeats some of them."""
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
            raise self._unsafe(name, "is one of too many views of the same numbers")

    def _claim(self, name: str, storage: Storage) -> None:
        """Pay for a storage, once: if it isn't aligned it will be copied."""
        if id(storage) in self._claimed:
            return
        if storage.source is None:
            raise self._unsafe(name, "has no stored numbers")
        self._spend_copy(name, len(storage.source.data))
        self._claimed[id(storage)] = storage

    def _row(self, storage: Storage) -> Tensor:
        if id(storage) not in self._rows and storage.source is not None:
            storage.verify()
            self._rows[id(storage)] = _numbers(storage.source, getattr(torch, storage.dtype))
            storage.source = None  # decoded bytes are freed as soon as they were copied
        return self._rows[id(storage)]

    def _spend_copy(self, name: str, count: int) -> None:
        self._copies_left -= count
        if self._copies_left < 0:
            raise self._unsafe(name, "is one of too many copies of the same bytes")

    def _count(self, name: str) -> None:
        self._tensors_left -= 1
        if self._tensors_left < 0:
            raise self._unsafe(name, f"is one of more than {MAX_TENSORS:,}")

    def _unsafe(self, name: str, found: str) -> UnsafeFileError:
        return UnsafeFileError(f"the tensor {quote(name)} {found}", where=self.source.path, fix=TOO_MUCH)


def _numbers(source: Source, dtype: torch.dtype) -> Tensor:
    """The bytes as numbers: in place, or copied where they are not aligned (pickles don't care)."""
    row = torch.frombuffer(source.data, dtype=torch.uint8)
    if row.data_ptr() % dtype.itemsize == 0 and dtype is not torch.bool:
        return row.view(dtype)
    copied = row.ne(0) if dtype is torch.bool else row.clone()  # a bool is 0 or 1, or undefined
    source.forget()
    return copied.view(dtype)


def _shaped(source: Source, dtype: torch.dtype, shape: tuple[int, ...], *, fortran: bool) -> Tensor:
    row = _numbers(source, dtype)
    if fortran:
        return row.reshape(shape[::-1]).permute(*reversed(range(len(shape))))
    return row.reshape(shape)


def require_finite(record: NetworkRecord, path: Path) -> None:
    """Refuse a network with weights that are no numbers; its pictures would be garbage.

    Raises:
        MalformedFileError: NaN or infinity in a tensor; names every such tensor.
    """
    wrong = [name for name, tensor in record.tensors.items() if not _is_finite(tensor)]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise MalformedFileError(
            f"NaN or infinity in {', '.join(map(quote, wrong[:5]))}{more}; want finite numbers",
            where=path,
            fix="the training went wrong; take an earlier snapshot",
        )


def _is_finite(tensor: Tensor) -> bool:
    """Whether every number is one. A finite sum has finite terms, and takes a tenth of looking at each of them."""
    return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())
