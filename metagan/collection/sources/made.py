"""Fetches from sources whose items are all known at the start: drawn here, or read from local files.

Several processes make the items. Each writes its picture and returns the item; the list of items is written at the end.
After a kill, the same call makes only the missing pictures.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

from pydantic import ValidationError

from metagan.collection.model import Facts, Item
from metagan.collection.pictures import NoPictureError, Picture, file_stem
from metagan.collection.store import (
    IMAGES_NAME,
    ITEMS_NAME,
    PROGRESS_NAME,
    Collection,
    is_inside,
    json_bytes,
    sha256_of,
    writing,
)
from metagan.datasets.pool import OrderedPool
from metagan.errors import CollectionError
from metagan.files import open_regular, read_bytes, write_bytes

_RECORD_NAME: Final = "pictures.jsonl"  # in PROGRESS_NAME: which picture came from which address
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


class UniqueIds:
    """Gives each item an id of its own: the second of id 7 is called 7-2."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def take(self, given: str) -> str:
        """Return an id that no other item has: the given one, if it is free."""
        item_id, number = given, self._next.get(given, 2)
        while item_id in self._taken:
            item_id, number = f"{given}-{number}", number + 1
        self._next[given] = number
        self._taken.add(item_id)
        return item_id


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
        report = report_of(writer.finish(_downloaded(out, items, download)), source.remarks())
        shutil.rmtree(out / PROGRESS_NAME, ignore_errors=True)
        return report


def _downloaded(out: Path, items: list[Item], download: Download | None) -> list[Item]:
    """Return items with the pictures at their addresses; without `download`, with those that earlier calls fetched."""
    wanted = [item for item in items if item.file is None and item.url]
    if not wanted:
        return items
    if download:
        arrived = {item.id: item for item in download(out, wanted)}
    else:
        known = KnownPictures(out)
        arrived = {item.id: kept for item in wanted if (kept := known.of(item))}
    return [arrived.get(item.id, item) for item in items]


class KnownPictures:
    """The pictures of a collection's folder, with the address that each came from.

    Those of a complete fetch stand in items.jsonl, those of one under way in a file of its own, a line each.

    Args:
        out: The collection's folder.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._record = out / PROGRESS_NAME / _RECORD_NAME
        self._known: dict[str, tuple[str, str, str]] = {}
        for file in (out / ITEMS_NAME, self._record):
            for item in _readable(file):
                if item.url and item.file and item.sha256 and is_inside(item.file):
                    self._known[item.id] = (item.url, item.file, item.sha256)

    def of(self, item: Item) -> Item | None:
        """Return an item with the picture on disk, or None if there is none from its address."""
        url, file, digest = self._known.get(item.id, ("", "", ""))
        if not file or url != item.url:
            return None
        with suppress(OSError):
            if sha256_of(read_bytes(self._out / file)) == digest:
                return item.model_copy(update={"file": file, "sha256": digest, "missing": None})
        return None

    @contextmanager
    def recording(self) -> Iterator[Callable[[Item], None]]:
        """Give a function that notes an item whose picture has arrived, for the next call if this one is killed."""
        with self._record.open("ab") as file:

            def record(item: Item) -> None:
                if item.file:
                    short = Item(id=item.id, url=item.url, file=item.file, sha256=item.sha256)
                    # The line end in front is for a line that a kill cut short.
                    file.write(b"\n" + json_bytes(short, exclude_defaults=True) + b"\n")
                    file.flush()

            yield record


def _readable(file: Path) -> Iterator[Item]:
    """Yield the items of a file's readable lines; none if there is no file."""
    with suppress(OSError), open_regular(file) as lines:
        for line in lines:
            with suppress(ValidationError):
                yield Item.model_validate_json(line)


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
