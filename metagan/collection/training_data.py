"""Reads training data from a collection: contents for `dataset pack`, and labelled pictures for a classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metagan.collection.model import Item
from metagan.collection.store import Collection, is_collection, open_collection
from metagan.datasets.decode import Fit, fit_picture
from metagan.datasets.labels import Labelling
from metagan.datasets.pool import OrderedPool
from metagan.datasets.store import UnreadableError
from metagan.errors import CollectionError, OptionError
from metagan.files import read_bytes
from metagan.values import ABSENT_TRAIT, counted

_TRAIT: Final = "trait:"
_GROUPS: Final = ("category", "type")


@dataclass(frozen=True)
class Contents:
    """What to pack of a folder.

    Args:
        labels: A labelling, or an argument of `choose_labelling`.
        names: The files to pack; None for all.
        facts: Facts about the origin, to record in the dataset.
    """

    labels: str | Labelling
    names: Sequence[str] | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


def collection_contents(path: Path, labels: str) -> Contents:
    """Return what to pack of a collection; for other folders and zips, return `labels` unchanged.

    Args:
        path: The folder.
        labels: "trait:TYPE", "category" or "type" for a collection's classes, or the labels option of any folder.

    Raises:
        CollectionError: If the collection can't be read or has no pictures, or if `labels` takes a collection and the
            folder isn't one.
        OptionError: If no item has that trait, category or type.
    """
    ours = labels.startswith(_TRAIT) or labels in _GROUPS
    if not is_collection(path):
        if ours:
            raise CollectionError(
                f"no collection, so --labels {labels} says nothing",
                where=path,
                fix=f"gather it with `metagan collection fetch --from folder:{path}` first",
            )
        return Contents(labels)
    collection = open_collection(path)
    items = [item for item in collection.items if item.file]
    if not items:
        raise CollectionError(
            f"its {counted(len(collection.items), 'item has', 'items have')} no picture",
            where=path,
            fix="fetch them",
        )
    facts = collection.facts
    said = {"collection": facts.name, "licence": facts.licence, "attribution": facts.attribution}
    return Contents(
        _labelling(path, items, labels) if ours else labels,
        [item.file for item in items if item.file],
        {name: value for name, value in said.items() if value},
    )


def _labelling(path: Path, items: Sequence[Item], labels: str) -> Labelling:
    value = _value_of(labels)
    found = {item.file: value(item) for item in items if item.file}
    if not any(found.values()):
        known = sorted({trait.type for item in items for trait in item.traits})
        there = f"; there are {', '.join(known)[:500]}" if labels.startswith(_TRAIT) and known else ""
        raise OptionError(
            f"--labels {labels}: no item of {path} has it{there}",
            fix="use a trait, category or type that items have, or leave --labels out",
        )
    return Labelling(lambda name: found[name] or ABSENT_TRAIT, f"no {labels}")


def _value_of(labels: str) -> Callable[[Item], str | None]:
    if labels == "category":
        return lambda item: item.category
    if labels == "type":
        return lambda item: item.type
    key = labels.removeprefix(_TRAIT).strip().lower()
    return lambda item: next((trait.value for trait in item.traits if trait.type.lower() == key), None)


def load_labelled(
    collection: Collection, resolution: int, workers: int, advance: Callable[[int], None] = lambda _: None
) -> tuple[NDArray[np.uint8], dict[str, list[str]]]:
    """Load all readable pictures and their traits; traits that are numbers or dates are left out.

    Args:
        collection: Items with traits and pictures.
        resolution: Side of the loaded pictures in pixels.
        workers: Number of processes; 0 uses only this one.
        advance: Called with the number of further items done.

    Returns:
        RGB, [n, resolution, resolution, 3], and by trait type each picture's value, "none" if it has none of the type.

    Raises:
        CollectionError: If no picture can be read.
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
    return next((trait.value for trait in item.traits if trait.type == kind), ABSENT_TRAIT)


def _load(folder: Path, resolution: int, file: str) -> NDArray[np.uint8] | None:
    try:
        fitted = fit_picture(read_bytes(folder / file), Fit(resolution, resample="auto"))
    except (OSError, UnreadableError):
        return None
    return np.asarray(fitted.image)


def _crashed(_: str) -> None:
    return None
