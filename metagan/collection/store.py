"""Reads and writes a collection's folder; a kill at any moment loses nothing that was complete."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from metagan.collection.model import Facts, Item, Sale, SourceFacts
from metagan.errors import CollectionError, Location
from metagan.files import open_regular, read_bytes, replacing, write_bytes
from metagan.registry.fields import COLLECTION_MARKER
from metagan.values import counted, json_text, source_date

FACTS_NAME: Final = COLLECTION_MARKER
ITEMS_NAME: Final = "items.jsonl"
SALES_NAME: Final = "sales.jsonl"
IMAGES_NAME: Final = "images"
PROGRESS_NAME: Final = ".fetch"  # what a fetch under way knows; gone when it is complete
_LOCK_NAME: Final = ".lock"
MAX_LINE_BYTES: Final = 64 << 20
_SHOWN: Final = 5

Record = TypeVar("Record", bound=BaseModel)


@dataclass(frozen=True)
class Collection:
    """A complete collection on disk.

    Args:
        path: Its folder.
        facts: Its facts.
        items: All items, in the source's order.
        sales: All known sales.
    """

    path: Path
    facts: Facts
    items: tuple[Item, ...]
    sales: tuple[Sale, ...] = ()

    def picture(self, item: Item) -> Path | None:
        """Return the path of an item's picture, or None."""
        return self.path / item.file if item.file else None


def is_collection(path: Path) -> bool:
    """Return whether a folder holds a collection."""
    return (path / FACTS_NAME).is_file()


def open_collection(path: Path) -> Collection:
    """Read the collection in a folder.

    Raises:
        CollectionError: If there is none, it is incomplete, or a line of it is invalid.
    """
    facts = read_complete_facts(path)
    items = tuple(read_lines(path / ITEMS_NAME, Item))
    _refuse_outside(path, items)
    sales = tuple(read_lines(path / SALES_NAME, Sale)) if (path / SALES_NAME).is_file() else ()
    return Collection(path, facts, items, sales)


def read_complete_facts(path: Path) -> Facts:
    """Read collection.json of a collection that was fetched to the end.

    Raises:
        CollectionError: If there is none, it is damaged, or the collection is incomplete.
    """
    facts = read_facts(path)
    if facts is None:
        raise CollectionError(
            f"no collection here: it has no {FACTS_NAME}",
            where=path,
            fix="give the folder that `metagan collection fetch --out` wrote",
        )
    if not facts.complete:
        raise CollectionError(
            "its fetching was interrupted",
            where=path,
            fix="run the same `metagan collection fetch` again; it goes on",
        )
    return facts


def read_facts(path: Path) -> Facts | None:
    """Read collection.json, or return None if the file doesn't exist.

    Raises:
        CollectionError: If it is damaged.
    """
    file = path / FACTS_NAME
    try:
        return Facts.model_validate_json(read_bytes(file))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        raise CollectionError(
            _first(error), where=file, fix="mend that, or fetch the collection anew"
        ) from error


def read_lines(file: Path, record: type[Record]) -> Iterator[Record]:
    """Read the records of a JSON Lines file.

    Raises:
        CollectionError: If the file is missing, or a line is invalid; the error names the line.
    """
    try:
        with open_regular(file) as lines:
            for number, line in enumerate(iter(partial(lines.readline, MAX_LINE_BYTES + 1), b""), 1):
                if len(line) > MAX_LINE_BYTES:
                    length = len(line)
                    while not line.endswith(b"\n") and (line := lines.readline(MAX_LINE_BYTES)):
                        length += len(line)
                    raise CollectionError(
                        f"want at most {MAX_LINE_BYTES:,} bytes in a line, got {length:,}",
                        where=Location(str(file), number),
                        fix="mend that line, or fetch the collection anew",
                    )
                if line.strip():
                    try:
                        yield record.model_validate_json(line)
                    except ValidationError as error:
                        raise CollectionError(
                            _first(error),
                            where=Location(str(file), number),
                            fix="mend that line, or fetch the collection anew",
                        ) from error
    except FileNotFoundError as error:
        raise CollectionError(
            "missing", where=file, fix="put it back, or fetch the collection anew"
        ) from error


class Writer:
    """Writes one collection, alone. See `writing`."""

    def __init__(self, path: Path, facts: Facts) -> None:
        self.path = path
        self.facts = facts

    def write_facts(self, **changes: object) -> None:
        """Change facts, in memory and on disk."""
        self.facts = self.facts.model_copy(update=changes)
        write_bytes(self.path / FACTS_NAME, json_bytes(self.facts, indent=2) + b"\n")

    def finish(self, items: Sequence[Item], sales: Sequence[Sale] = ()) -> Collection:
        """Write the items and sales, and mark the collection as complete."""
        write_lines(self.path / ITEMS_NAME, items)
        if sales:
            write_lines(self.path / SALES_NAME, sales)
        else:
            (self.path / SALES_NAME).unlink(missing_ok=True)
        self.write_facts(complete=True, count=len(items))
        return Collection(self.path, self.facts, tuple(items), tuple(sales))


@contextmanager
def writing(path: Path, facts: Facts, *, replaces: bool = False) -> Iterator[Writer]:
    """Give a writer for the collection at `path`: a new one, or one that a fetch of the same source began.

    Args:
        path: The folder.
        facts: The collection's facts; for one that is continued, its own facts are kept, except for the source, and
            for a licence if one is given.
        replaces: Whether to replace another collection there; otherwise it is refused.

    Raises:
        CollectionError: If something else is there, or another process is writing it.
    """
    if path.exists() and not path.is_dir():
        raise CollectionError("a file, not a folder", where=path, fix="choose another --out")
    known = read_facts(path)
    if known is None and path.is_dir() and any(path.iterdir()) and not (path / _LOCK_NAME).exists():
        raise CollectionError("holds other files, and no collection", where=path, fix="choose another --out")
    path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path / _LOCK_NAME, timeout=0)
    try:
        with lock:
            try:
                yield _begin(path, facts, replaces)
            finally:
                (path / _LOCK_NAME).unlink(missing_ok=True)
    except Timeout as error:
        raise CollectionError(
            "another process is writing it",
            where=path,
            fix="wait for it to end, or end it, then run this again",
        ) from error


def _begin(path: Path, facts: Facts, replaces: bool) -> Writer:
    known = read_facts(path)
    if known and not replaces:
        _refuse_other(path, known, facts)
        licence = facts.licence or known.licence
        facts = known.model_copy(update={"source": facts.source, "licence": licence})
    sweep(path)
    writer = Writer(path, facts)
    if known != facts:
        writer.write_facts()
    return writer


def sweep(path: Path) -> None:
    """Remove the temporary files that killed processes left."""
    for folder in (path, path / IMAGES_NAME, path / PROGRESS_NAME):
        if folder.is_dir():
            for entry in os.scandir(folder):
                if entry.name.startswith(".") and entry.name.endswith(".tmp"):
                    Path(entry.path).unlink(missing_ok=True)


def write_lines(file: Path, records: Iterable[BaseModel]) -> None:
    """Write a JSON Lines file atomically; unknown values are left out."""
    with replacing(file) as beside, beside.open("wb") as out:
        for record in records:
            out.write(json_bytes(record, exclude_defaults=True) + b"\n")


def json_bytes(record: BaseModel, *, indent: int | None = None, exclude_defaults: bool = False) -> bytes:
    """Write a record as JSON in UTF-8; unknown values are left out, and file names that aren't UTF-8 are escaped."""
    try:
        text = record.model_dump_json(indent=indent, exclude_none=True, exclude_defaults=exclude_defaults)
    except PydanticSerializationError:
        values = record.model_dump(mode="json", exclude_none=True, exclude_defaults=exclude_defaults)
        text = json_text(values, indent=indent)
    return text.encode()


def now() -> str:
    """Return the time in UTC as ISO 8601; SOURCE_DATE_EPOCH (reproducible-builds.org) replaces the clock."""
    return (source_date() or dt.datetime.now(dt.UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where + ': ' if where else ''}{first['msg']}, got {str(first.get('input'))[:60]!r}"


def _refuse_other(path: Path, known: Facts, wanted: Facts) -> None:
    def said(source: SourceFacts) -> str:
        return ":".join(filter(None, (source.kind, source.reference)))

    if (known.source.kind, known.source.reference) != (wanted.source.kind, wanted.source.reference):
        raise CollectionError(
            f"holds a collection from {said(known.source)}, not {said(wanted.source)}",
            where=path,
            fix="choose another --out",
        )
    before, after = dict(known.source.options), dict(wanted.source.options)
    _, more = before.pop("count", None), after.pop("count", None)
    pictures, given = before.pop("pictures", None), after.pop("pictures", None)
    if pictures and not given:
        raise CollectionError(
            f"has pictures from --pictures {pictures}, which it would lose without that option",
            where=path,
            fix="give it again, or choose another --out",
        )
    changed = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
    if changed:
        name = changed[0]
        raise CollectionError(
            f"was begun with --{name} {before.get(name)}, not {after.get(name)}",
            where=path,
            fix="give the same again, or choose another --out",
        )
    if (
        known.complete and isinstance(more, int) and more < known.count
    ):  # options may be of a fetch that was killed
        raise CollectionError(
            f"holds {counted(known.count, 'item')} already, and {counted(more, 'is', 'are')} asked for",
            where=path,
            fix="choose another --out, or take a part of it with `metagan collection subset`",
        )


def _refuse_outside(path: Path, items: Sequence[Item]) -> None:
    wrong = [item.file for item in items if item.file and not is_inside(item.file)]
    if wrong:
        raise CollectionError(
            f"{counted(len(wrong), 'file lies', 'files lie')} outside of the collection, such as {wrong[0][:60]!r}",
            where=path / ITEMS_NAME,
            fix=f"name files {IMAGES_NAME}/NAME, or fetch the collection anew",
        )
    seen: set[str] = set()
    twice = [item.id for item in items if item.id in seen or seen.add(item.id)]  # type: ignore[func-returns-value]
    if twice:
        shown = ", ".join(twice[:_SHOWN])
        raise CollectionError(
            f"{counted(len(twice), 'id stands', 'ids stand')} there twice ({shown[:200]})",
            where=path / ITEMS_NAME,
            fix="remove one line of each, or fetch the collection anew",
        )


def is_inside(name: str) -> bool:
    """Return whether an item's `file` names a picture inside of its collection."""
    parts = name.split("/")
    return (
        len(parts) == 2
        and parts[0] == IMAGES_NAME
        and parts[1] not in ("", ".", "..")
        and not {"\\", "\0"} & set(name)
    )
