"""Sources whose items are all known at the start: drawn here, or read from files of this machine.

Items are made by several processes. Each writes its picture and gives the item back; the list of items is written when
all are there. A call that was killed is called again, and makes only the pictures that are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

from metagan.collection.model import Facts, Item
from metagan.collection.pictures import NoPictureError, Picture, file_stem
from metagan.collection.store import IMAGES_NAME, Collection, sha256_of, writing
from metagan.datasets.pool import OrderedPool
from metagan.errors import CollectionError
from metagan.files import write_bytes

_CHUNK: Final = 32  # items a process takes at once
Entry = TypeVar("Entry")


class MadeSource(Protocol[Entry]):
    """Makes items one by one. It is sent to other processes."""

    def facts(self) -> Facts:
        """What the collection is."""
        ...

    def entries(self) -> Sequence[Entry]:
        """What each item is made of, in the collection's order. Raises CollectionError."""
        ...

    def remarks(self) -> Sequence[str]:
        """What is to be said of the source as a whole, once its entries are known."""
        ...

    def make(self, entry: Entry) -> Made:
        """An item. Raises nothing that another item would not raise as well."""
        ...


@dataclass(frozen=True)
class Made:
    """An item, and how its picture is had.

    Args:
        item: Without `file` and `sha256`.
        picture: Gives its picture, or raises NoPictureError; None for an item that has none.
        suffix: What the picture's name ends in, where that is known before it is made.
    """

    item: Item
    picture: Callable[[], Picture] | None = None
    suffix: str | None = None


@dataclass
class FetchReport:
    """What became of a fetch.

    Args:
        collection: What was written.
        missing: Id and reason of each item without a picture that should have one.
        notes: What the source said that couldn't be used: where, and what became of it.
        remarks: What is to be said of the source as a whole.
    """

    collection: Collection
    missing: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    remarks: tuple[str, ...] = ()


def fetch_made(
    source: MadeSource[Entry],
    out: Path,
    *,
    workers: int = 0,
    begin: Callable[[int], None] = lambda _: None,
    advance: Callable[[int], None] = lambda _: None,
) -> FetchReport:
    """Make a source's collection at `out`, or go on with it.

    Args:
        source: Where it comes from.
        out: The collection's folder.
        workers: Processes; 0 makes everything in this one.
        begin: Called with the number of items.
        advance: Called with the number of further pictures done.

    Raises:
        CollectionError: The source can't be read, or something else is at `out`.
    """
    entries = source.entries()
    begin(len(entries))
    with writing(out, source.facts()) as writer:
        (out / IMAGES_NAME).mkdir(exist_ok=True)
        chunks = [entries[at : at + _CHUNK] for at in range(0, len(entries), _CHUNK)]
        pool = OrderedPool(partial(_make_chunk, source, out), workers, partial(_crashed, source))
        items: list[Item] = []
        for made in pool.map(chunks):
            items += made
            advance(len(made))
        return report_of(writer.finish(items), source.remarks())


def report_of(collection: Collection, remarks: Sequence[str] = ()) -> FetchReport:
    """What is to be said of a collection's items."""
    missing = [(item.id, item.missing) for item in collection.items if item.missing]
    notes = [(item.id, note) for item in collection.items for note in item.notes]
    return FetchReport(collection, missing, notes, tuple(remarks))


def keep_picture(out: Path, item: Item, picture: Picture) -> Item:
    """The item with its picture written."""
    name = f"{IMAGES_NAME}/{file_stem(item.id)}{picture.suffix}"
    path, digest = out / name, sha256_of(picture.data)
    if not (
        path.is_file() and path.stat().st_size == len(picture.data) and sha256_of(path.read_bytes()) == digest
    ):
        write_bytes(path, picture.data)
    return item.model_copy(update={"file": name, "sha256": digest, "missing": None})


def _make_chunk(source: MadeSource[Entry], out: Path, entries: Sequence[Entry]) -> list[Item]:
    return [_make(out, source.make(entry)) for entry in entries]


def _make(out: Path, made: Made) -> Item:
    item = made.item
    if made.picture is None:
        return item
    if made.suffix is not None:
        name = f"{IMAGES_NAME}/{file_stem(item.id)}{made.suffix}"
        if (out / name).is_file():  # from a call before this one, whole since it was renamed into its place
            return item.model_copy(update={"file": name, "sha256": sha256_of((out / name).read_bytes())})
    try:
        return keep_picture(out, item, made.picture())
    except NoPictureError as error:
        return item.model_copy(update={"missing": str(error)})


def _crashed(source: MadeSource[Entry], entries: Sequence[Entry]) -> list[Item]:
    # One of the items took its process down; each alone says which.
    made = OrderedPool(partial(_describe, source), 1, _nameless).map(entries)
    gone = "its decoder crashed, or the system's memory ran out"
    return [item.model_copy(update={"missing": gone}) for item in made]


def _describe(source: MadeSource[Entry], entry: Entry) -> Item:
    return source.make(entry).item


def _nameless(entry: object) -> Item:
    raise CollectionError(
        "its process was killed",
        where=str(entry)[:60],
        fix="try again with fewer --workers; if it happens again, take that item out",
    )
