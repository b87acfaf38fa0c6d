"""Fetches from sources whose items are all known at the start: drawn here, or read from local files.

Several processes make the items. Each writes its picture and returns the item; the list of items is written at the end.
After a kill, the same call makes only the missing pictures.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

from metagan.collection.model import Facts, Item
from metagan.collection.pictures import NoPictureError, Picture, file_stem
from metagan.collection.store import IMAGES_NAME, PROGRESS_NAME, Collection, sha256_of, writing
from metagan.datasets.pool import OrderedPool
from metagan.errors import CollectionError
from metagan.files import write_bytes

CRASHED: Final = "its decoder crashed, or the system's memory ran out"
_CHUNK: Final = 32  # items a process takes at once
Entry = TypeVar("Entry")
Download = Callable[[Path, Sequence[Item]], list[Item]]  # as downloads.download_pictures


class MadeSource(Protocol[Entry]):
    """Makes items one by one. It is sent to other processes."""

    def facts(self) -> Facts:
        """Return the collection's facts."""
        ...

    def entries(self) -> Sequence[Entry]:
        """Return what each item is made of, in order.

        Raises:
            CollectionError: If the source can't be read.
        """
        ...

    def remarks(self) -> Sequence[str]:
        """Return remarks about the source as a whole, after its entries are known."""
        ...

    def make(self, entry: Entry) -> Made:
        """Make an item. Errors mean that no item can be made."""
        ...


@dataclass(frozen=True)
class Made:
    """An item, and how to get its picture.

    Args:
        item: The item without `file` and `sha256`.
        picture: Returns its picture, or raises NoPictureError; None for an item without one.
        suffix: Suffix of the picture's name, if it is known in advance.
    """

    item: Item
    picture: Callable[[], Picture] | None = None
    suffix: str | None = None


@dataclass
class FetchReport:
    """The result of a fetch.

    Args:
        collection: The collection that was written.
        missing: Id and reason of each item that lacks its picture.
        notes: Id and note of each value that couldn't be used.
        remarks: Remarks about the source as a whole.
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
    download: Download | None = None,
    begin: Callable[[int], None] = lambda _: None,
    advance: Callable[[int], None] = lambda _: None,
) -> FetchReport:
    """Make a source's collection at `out`, or continue one.

    Args:
        source: The source.
        out: The collection's folder.
        workers: Number of processes; 0 uses only this one.
        download: Downloads the pictures of items that have an address and no picture here; None downloads nothing.
        begin: Called with the number of items.
        advance: Called with the number of further pictures done.

    Raises:
        CollectionError: If the source can't be read, or `out` holds something else.
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
        if download:
            items = _downloaded(out, items, download)
        return report_of(writer.finish(items), source.remarks())


def _downloaded(out: Path, items: list[Item], download: Download) -> list[Item]:
    wanted = [item for item in items if item.file is None and item.url]
    if not wanted:
        return items
    arrived = {item.id: item for item in download(out, wanted)}
    shutil.rmtree(out / PROGRESS_NAME, ignore_errors=True)
    return [arrived.get(item.id, item) for item in items]


def report_of(collection: Collection, remarks: Sequence[str] = ()) -> FetchReport:
    """Collect the items without a picture and the notes of a collection."""
    missing = [(item.id, item.missing) for item in collection.items if item.missing]
    notes = [(item.id, note) for item in collection.items for note in item.notes]
    return FetchReport(collection, missing, notes, tuple(remarks))


def keep_picture(out: Path, item: Item, picture: Picture) -> Item:
    """Write an item's picture, and return the item with it."""
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
    return [item.model_copy(update={"missing": CRASHED}) for item in made]


def _describe(source: MadeSource[Entry], entry: Entry) -> Item:
    return source.make(entry).item


def _nameless(entry: object) -> Item:
    raise CollectionError(
        "its process was killed",
        where=str(entry)[:60],
        fix="try again with fewer --workers; if it happens again, take that item out",
    )
