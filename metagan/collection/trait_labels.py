"""A collection's pictures and the value of each trait type that each of them has, for a classifier to learn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metagan.collection.model import Item
from metagan.collection.packing import NONE
from metagan.collection.store import Collection
from metagan.datasets.decode import Fit, fit_picture
from metagan.datasets.pool import OrderedPool
from metagan.datasets.store import UnreadableError
from metagan.errors import CollectionError


def load_labelled(
    collection: Collection, resolution: int, workers: int, advance: Callable[[int], None] = lambda _: None
) -> tuple[NDArray[np.uint8], dict[str, list[str]]]:
    """Every picture that can be read, and its traits; numbers and dates are no traits here.

    Args:
        collection: Items with traits and pictures.
        resolution: The side that pictures get.
        workers: Processes; 0 for none but this one.
        advance: Called with the number of further items done.

    Returns:
        RGB, [n, resolution, resolution, 3], and by trait type each picture's value, "none" where it lacks one.

    Raises:
        CollectionError: No item has a picture.
    """
    items = [item for item in collection.items if item.file]
    pool = OrderedPool(partial(_load, collection.path, resolution), workers, _crashed)
    rows, kept = [], []
    for item, picture in zip(items, pool.map([str(item.file) for item in items]), strict=True):
        advance(1)
        if picture is not None:
            rows.append(picture)
            kept.append(item)
    if not rows:
        raise CollectionError("no item has a picture", where=collection.path, fix="fetch them")
    kinds = sorted({trait.type for item in kept for trait in item.traits if trait.number is None})
    return np.stack(rows), {kind: [_value(item, kind) for item in kept] for kind in kinds}


def _value(item: Item, kind: str) -> str:
    return next((trait.value for trait in item.traits if trait.type == kind), NONE)


def _load(folder: Path, resolution: int, file: str) -> NDArray[np.uint8] | None:
    try:
        fitted = fit_picture((folder / file).read_bytes(), Fit(resolution, resample="auto"))
    except (OSError, UnreadableError):
        return None
    return np.asarray(fitted.image)


def _crashed(_: str) -> None:
    return None
