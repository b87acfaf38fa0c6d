"""dataset.json's labels, checked against the pictures, as vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metagan.errors import DatasetError

MAX_LABELS = 100_000
_FIX = 'want {"labels": [["00000/img00000000.png", 6], ...]} or {"labels": null}; pack the pictures again'
_SHOWN = 5


@dataclass(frozen=True)
class LabelTable:
    """Each picture's label.

    Args:
        values: Label numbers, [pictures], or label vectors, [pictures, width].
        width: A label vector's length.
    """

    values: NDArray[np.int64] | NDArray[np.float32]
    width: int

    def vector(self, index: int) -> NDArray[np.float32]:
        """Picture `index`'s label: one-hot where labels are numbers, [width]."""
        value = self.values[index]
        if self.values.ndim == 2:
            return np.array(value, np.float32)
        vector = np.zeros(self.width, np.float32)
        vector[int(value)] = 1
        return vector

    def counts(self) -> NDArray[np.int64]:
        """How many pictures have each label number, [width]; a vector counts where it is largest."""
        numbers = self.values.argmax(1) if self.values.ndim == 2 else self.values
        return np.bincount(numbers.astype(np.int64), minlength=self.width)


def read_label_table(document: Mapping[str, Any], names: Sequence[str], where: str) -> LabelTable | None:
    """The labels of the pictures called `names`, in their order; None when the dataset has none.

    Args:
        document: What dataset.json holds.
        names: The pictures' names.
        where: For messages: the dataset and the file.

    Raises:
        DatasetError: The document is no such list, pictures have no label, or labels are of several kinds.
    """
    pairs = document.get("labels")
    if pairs is None:
        return None
    labels = labels_by_name(pairs, where)
    missing = [name for name in names if name not in labels]
    if missing:
        shown = ", ".join(missing[:_SHOWN])
        msg = f"{where}: {len(missing)} of {len(names)} pictures have no label ({shown}); {_FIX}"
        raise DatasetError(msg)
    return _table([labels[name] for name in names], where)


def labels_by_name(pairs: Any, where: str) -> dict[str, Any]:
    """dataset.json's list of [name, label] as a mapping. Raises DatasetError when it is no such list."""
    if not isinstance(pairs, list):
        raise DatasetError(f"{where}: labels: got {type(pairs).__name__}; {_FIX}")
    labels = {}
    for index, pair in enumerate(pairs):
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)):
            raise DatasetError(f"{where}: labels[{index}]: got {str(pair)[:60]!r}; {_FIX}")
        labels[pair[0].replace("\\", "/")] = pair[1]
    return labels


def _table(values: list[Any], where: str) -> LabelTable:
    if all(type(value) is int and 0 <= value < MAX_LABELS for value in values):
        return LabelTable(np.array(values, np.int64), max(values) + 1)
    if all(isinstance(value, list) and value and _all_numbers(value) for value in values):
        widths = {len(value) for value in values}
        if len(widths) == 1:
            return LabelTable(np.array(values, np.float32), widths.pop())
    msg = f"{where}: labels: want whole numbers from 0 to {MAX_LABELS - 1}, or lists of numbers of one length"
    raise DatasetError(f"{msg}; pack the pictures again")


def _all_numbers(value: list[Any]) -> bool:
    return all(type(number) in (int, float) and abs(number) < 1e30 for number in value)
