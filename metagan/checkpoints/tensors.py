"""Converts inert records to torch tensors: checked views of the file's bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from metagan.checkpoints.model import NetworkRecord
from metagan.checkpoints.pickles.inert import Array, TensorView, TorchStorage
from metagan.checkpoints.pickles.machine import TOO_MUCH
from metagan.checkpoints.source import Source, quote
from metagan.errors import MalformedFileError, UnsafeFileError

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


def require_finite(record: NetworkRecord, path: Path) -> None:
    """Refuse a network with weights that are NaN or infinite.

    Raises:
        MalformedFileError: If a tensor has NaN or infinity. The message names all such tensors.
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
    """Return whether all values are finite. A finite sum implies that, and takes a tenth of the time."""
    if tensor.element_size() == 1 and tensor.is_floating_point():  # PyTorch doesn't add all of these up
        tensor = tensor.float()
    return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())
