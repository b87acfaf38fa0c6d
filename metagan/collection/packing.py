"""What `dataset pack` takes of a collection: its items' pictures in their order, labels from traits, its licence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from metagan.collection.model import Item
from metagan.collection.store import is_collection, open_collection
from metagan.datasets.labels import Labelling
from metagan.errors import CollectionError, OptionError

NONE: Final = "none"  # the label of an item that lacks the trait
_TRAIT: Final = "trait:"
_GROUPS: Final = ("category", "type")


@dataclass(frozen=True)
class Contents:
    """What to pack of a folder.

    Args:
        labels: A labelling, or what `choose_labelling` takes.
        names: Which files; None for all.
        facts: What the dataset says of its origin.
    """

    labels: str | Labelling
    names: Sequence[str] | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


def collection_contents(path: Path, labels: str) -> Contents:
    """What to pack of a collection; of any other folder or zip, what was asked for unchanged.

    Args:
        path: The folder.
        labels: "trait:TYPE", "category" or "type" for a collection's classes, or what any folder takes.

    Raises:
        CollectionError: The collection can't be read or has no pictures, or a folder that is none is asked for traits.
        OptionError: No item has that trait, category or type.
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
            f"none of its {len(collection.items):,} items has a picture", where=path, fix="fetch them"
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
        raise OptionError(f"--labels {labels}: no item of {path} has it{there}")
    return Labelling(lambda name: found[name] or NONE, f"no {labels}")


def _value_of(labels: str) -> Callable[[Item], str | None]:
    if labels == "category":
        return lambda item: item.category
    if labels == "type":
        return lambda item: item.type
    key = labels.removeprefix(_TRAIT).strip().lower()
    return lambda item: next((trait.value for trait in item.traits if trait.type.lower() == key), None)
