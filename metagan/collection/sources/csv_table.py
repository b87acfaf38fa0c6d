"""Reads collections from a CSV table of artworks, with or without their pictures."""

from __future__ import annotations

import csv
import io
import itertools
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from metagan.collection.attributes import clean
from metagan.collection.metadata import plausible_year
from metagan.collection.model import MOST, Facts, Item, SourceFacts, Trait
from metagan.collection.pictures import NoPictureError, Picture, check_picture
from metagan.collection.sources.made import Made, UniqueIds
from metagan.collection.store import now
from metagan.errors import CollectionError, Location
from metagan.files import bytes_told, open_regular, real_path
from metagan.values import counted, text_of

COLUMNS: Final = (
    *(
        "id",
        "title",
        "name",
        "description",
        "creator",
        "art_series",
        "price",
        "symbol",
        "price_usd",
        "type",
        "category",
    ),
    *("likes", "nsfw", "tokens", "year", "rights", "royalty", "cid", "path", "url"),
)
Decimal = Literal["auto", "point", "comma"]
_TRAIT: Final = "trait:"  # --map trait:Hat=hat_column
_NUMBERS: Final = frozenset({"price", "price_usd", "likes", "tokens", "year", "royalty"})
_DELIMITERS: Final = ",;\t|"
_NUMBER: Final = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,3})?", re.IGNORECASE)
# Thousands, or lakhs and crores: 1,234,567 and 12,34,567.
_GROUPED: Final = re.compile(
    r"-?[1-9]\d{0,2}(?:([.,])\d{3})(?:\1\d{3})*|-?[1-9]\d?(?:([.,])\d\d)(?:\2\d\d)*\2\d{3}"
)
_SEPARATOR: Final = re.compile(r"sep=.", re.IGNORECASE)  # the first line, for spreadsheets
_CURRENCY: Final = re.compile(r"[\s\u00a0\u202f'’$€£¥Ξ%]|ETH|USD|EUR|GBP", re.IGNORECASE)
_MARKS: Final = (
    *((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32")),
    *((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")),
)
_HEAD: Final = 4096
_TRUE: Final = frozenset({"1", "true", "yes", "y", "t", "x", "nsfw"})
_FALSE: Final = frozenset({"0", "false", "no", "n", "f", ""})
MAX_BYTES: Final = 1 << 30


@dataclass(frozen=True)
class CsvEntry:
    """A line of the table: its number, its item's id, and its cells by metagan's column names."""

    line: int
    id: str
    cells: Mapping[str, str]
    notes: tuple[str, ...] = ()


class CsvSource:
    """A table of artworks.

    Args:
        name: Name of the collection.
        path: The CSV file.
        pictures: Folder that its `path` column is relative to; None for a table without pictures.
        columns: metagan's column names to the file's, "price" to "cost"; "trait:Hat" makes a column a trait.
        encoding: Encoding of the file; None detects it.
        decimal: Decimal separator of numbers.
        licence: Licence of the pictures, or None.
        svg_px: Longer side of drawn SVG pictures in pixels.

    Raises:
        CollectionError: If there is no such folder of pictures, or `columns` has an unknown name.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        pictures: Path | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        encoding: str | None = None,
        decimal: Decimal = "auto",
        licence: str | None = None,
        svg_px: int = 512,
    ) -> None:
        self.name = name
        self.path = path
        self.pictures = pictures
        self.columns = dict(columns or {})
        self.encoding = encoding
        self.decimal: Decimal = decimal
        self.licence = licence
        self.svg_px = svg_px
        self.encoding_used = ""
        self.ignored: tuple[str, ...] = ()
        self._comma: frozenset[str] = frozenset()
        _refuse_unknown(self.columns)
        if pictures is not None and not pictures.is_dir():
            raise CollectionError("no such folder of pictures", where=pictures, fix="check --pictures")

    def facts(self) -> Facts:
        """Return the collection's facts."""
        options: dict[str, Any] = {
            "map": [f"{name}={column}" for name, column in sorted(self.columns.items())]
        }
        if self.pictures is not None:
            options["pictures"] = text_of(str(real_path(self.pictures)))
        return Facts(
            name=self.name,
            source=SourceFacts(kind="csv", reference=text_of(str(real_path(self.path))), options=options),
            licence=self.licence,
            fetched_at=now(),
        )

    def entries(self) -> Sequence[CsvEntry]:
        """Return the table's lines.

        Raises:
            CollectionError: If it can't be read as CSV, has no known column, or no line.
        """
        header, rows, delimiter = self._read()
        use = self._used_columns(header)
        lines = [
            (line, {name: row[at].strip() for name, at in use.items() if at < len(row)}, len(row))
            for line, row in rows
        ]
        self._comma = self._decimal_commas([cells for _, cells, _ in lines], delimiter)
        return self._identified(lines, len(header))

    def remarks(self) -> Sequence[str]:
        """Return what was guessed, and which columns aren't used, after `entries` has read the table."""
        said = []
        if self._comma and self.decimal == "auto":
            said.append(
                f"decimal commas in {', '.join(sorted(self._comma))}; if that is wrong, give --decimal point"
            )
        if self.encoding_used == "cp1252" and not self.encoding:
            said.append("not UTF-8: read as Windows-1252; if that is wrong, give --encoding")
        if self.ignored:
            said.append(f"columns not used: {', '.join(self.ignored)}; give them a meaning with --map")
        return said

    def make(self, entry: CsvEntry) -> Made:
        """Make an item."""
        cells, notes = entry.cells, list(entry.notes)
        numbers = {name: self._number(name, cells, notes) for name in _NUMBERS}
        item = Item(
            id=entry.id,
            name=clean(cells.get("title") or cells.get("name") or f"#{entry.id}", 300),
            description=_text(cells.get("description")),
            creator=_text(cells.get("creator") or (cells.get("name") if cells.get("title") else None)),
            series=_text(cells.get("art_series")),
            traits=_traits(cells),
            **_prices(numbers, cells, notes),
            **_counts(numbers, cells, notes),
            type=_text(cells.get("type")),
            category=_text(cells.get("category")),
            rights=_text(cells.get("rights")),
            url=_address(cells),
            notes=tuple(notes),
        )
        return Made(item, partial(self._picture, cells.get("path", "")) if self.pictures else None)

    def _picture(self, name: str) -> Picture:
        pictures = self.pictures or Path()
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if not name:
            raise NoPictureError("no picture: the column path is empty")
        if "\0" in name:
            raise NoPictureError(f"path {clean(name, 80)!r}: no name of a file")
        file = pictures.joinpath(*parts)
        try:
            if not file.exists():  # files may be named in the table's own encoding
                with suppress(UnicodeError):
                    as_written = pictures.joinpath(*map(self._name_as_written, parts))
                    file = as_written if as_written.exists() else file
            if ".." in parts or not real_path(file).is_relative_to(real_path(pictures)):
                raise NoPictureError(f"path {clean(name, 80)!r} leads out of {pictures}; not read")
            if file.exists() and not file.is_file():  # a pipe may never end
                raise NoPictureError(f"{clean(name, 80)}: not a regular file")
            data = file.read_bytes()
        except OSError as error:
            raise NoPictureError(f"{clean(name, 80)}: {error.strerror or error}") from error
        return check_picture(data, self.svg_px)

    def _name_as_written(self, name: str) -> str:
        return os.fsdecode(name.encode(self.encoding_used or "utf-8"))

    def _read(self) -> tuple[list[str], list[tuple[int, list[str]]], str]:
        try:
            with open_regular(self.path) as file:
                data = file.read(MAX_BYTES + 1)
                told = bytes_told(file)
        except OSError as error:
            raise CollectionError(error.strerror or error, where=self.path, fix="check the path") from error
        if len(data) > MAX_BYTES:
            raise CollectionError(
                f"want at most {MAX_BYTES:,} bytes, got {told}",
                where=self.path,
                fix="split it into several collections",
            )
        text, self.encoding_used = _decoded(self.path, data, self.encoding)
        delimiter = _delimiter(text)
        try:
            rows = _rows(self.path, text, delimiter)
        except csv.Error as error:
            raise CollectionError(
                f"no CSV file ({error})", where=self.path, fix="save it as CSV again"
            ) from error
        if rows and _SEPARATOR.fullmatch(delimiter.join(rows[0][1]).strip()):
            rows = rows[1:]
        if len(rows) < 2:
            raise CollectionError(
                "no line below its header",
                where=self.path,
                fix="write a header, then a line for each artwork",
            )
        return [cell.strip() for cell in rows[0][1]], rows[1:], delimiter

    def _used_columns(self, header: Sequence[str]) -> dict[str, int]:
        by_name = {name.casefold(): at for at, name in reversed(list(enumerate(header)))}
        absent = [
            f"{name}={column}" for name, column in self.columns.items() if column.casefold() not in by_name
        ]
        if absent:
            raise CollectionError(
                f"--map {absent[0]}: {self.path} has no such column; its columns are {', '.join(header)[:500]}",
                fix="name one of these",
            )
        use = {name: by_name[column.casefold()] for name, column in self.columns.items()}
        taken = set(use.values())
        for name in COLUMNS:
            if name not in use and name in by_name and by_name[name] not in taken:
                use[name] = by_name[name]
        self.ignored = tuple(name for at, name in enumerate(header) if at not in use.values() and name)
        if not use:
            raise CollectionError(
                f"none of its columns is known ({', '.join(header)[:300]})",
                where=self.path,
                fix=f"name them by --map, such as --map price={header[0]}",
            )
        return use

    def _decimal_commas(self, lines: Sequence[Mapping[str, str]], delimiter: str) -> frozenset[str]:
        """Return the columns whose numbers have decimal commas."""
        if self.decimal != "auto":
            return _NUMBERS if self.decimal == "comma" else frozenset()
        return frozenset(
            name
            for name in _NUMBERS
            if _has_decimal_commas([line.get(name, "") for line in lines], delimiter)
        )

    def _identified(self, lines: Iterable[tuple[int, dict[str, str], int]], width: int) -> list[CsvEntry]:
        ids = UniqueIds()
        entries = []
        for number, (line, cells, length) in enumerate(lines, 1):
            notes = (
                []
                if length <= width
                else [
                    f"line {line}: {counted(length, 'cell')} under {counted(width, 'column')}; check its quotes"
                ]
            )
            given = clean(cells.get("id", ""), 200)
            item_id = ids.take(given or str(number))
            if item_id != (given or str(number)):
                notes.append(
                    f"line {line}: a second item of id {given or number}; it is called {item_id} here"
                )
            entries.append(CsvEntry(line, item_id, cells, tuple(notes)))
        return entries

    def _number(self, name: str, cells: Mapping[str, str], notes: list[str]) -> float | None:
        text = cells.get(name, "")
        if not text:
            return None
        value = parse_number(text, comma=name in self._comma)
        if value is None:
            notes.append(f"{name} {clean(text, 40)!r}: want a number; left out")
        return value


def parse_number(text: str, *, comma: bool) -> float | None:
    """Parse a number as spreadsheets show it, such as "1,234.50", "1.234,50 €" or "0,08"; None for other text.

    Args:
        text: The cell.
        comma: Whether a comma separates its decimals; otherwise a point does.
    """
    decimal, thousands = ",." if comma else ".,"
    whole, point, rest = _CURRENCY.sub("", text).partition(decimal)
    if thousands in whole and not _GROUPED.fullmatch(whole):
        return None
    plain = whole.replace(thousands, "") + (point and ".") + rest
    value = float(plain) if _NUMBER.fullmatch(plain) else math.nan
    too_small = value == 0 and any(digit not in "0." for digit in plain.lower().partition("e")[0].lstrip("-"))
    return value if math.isfinite(value) and not too_small else None


def _has_decimal_commas(texts: Iterable[str], delimiter: str) -> bool:
    """Return whether a column has decimal commas.

    It has if one of its numbers can only be read that way, or if all can be read both ways ("1,234") and the file is
    separated by semicolons, as programs write it in countries with decimal commas.
    """
    doubtful = False
    for text in texts:
        plain = _CURRENCY.sub("", text)
        if "," not in plain:
            continue
        if "." in plain:
            return plain.rindex(",") > plain.rindex(".")
        if not _GROUPED.fullmatch(plain):
            return True
        doubtful = True
    return doubtful and delimiter == ";"


def _address(cells: Mapping[str, str]) -> str | None:
    """Return the address of a line's picture: its cid at IPFS, or its url."""
    cid = clean(cells.get("cid", ""), 200)
    if cid:
        return cid if "://" in cid else f"ipfs://{cid}"
    url = cells.get("url", "")
    return url if url[:5].lower() == "data:" else _text(url)


def _decoded(path: Path, data: bytes, encoding: str | None) -> tuple[str, str]:
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if marked or encoding:
        tries = [marked or str(encoding)]
    else:
        tries = [_wide(data)] if data[:_HEAD].count(0) * 5 > len(data[:_HEAD]) else ["utf-8-sig", "cp1252"]
    for name in tries:
        try:
            return data.decode(name), name
        except UnicodeDecodeError:
            continue
        except (LookupError, ValueError) as error:  # "undefined" is an encoding that decodes nothing
            raise CollectionError(
                f"--encoding {name}: not known", fix="try utf-8, cp1252 or utf-16"
            ) from error
    raise CollectionError(
        f"not in {' or '.join(tries)}",
        where=path,
        fix="say its encoding, such as --encoding shift_jis, or save it as UTF-8",
    )


def _wide(data: bytes) -> str:
    """Return the encoding of text with a NUL in most of its characters: UTF-16 or UTF-32 without a mark."""
    zeros = [data[at:_HEAD:4].count(0) for at in range(4)]
    if zeros[1] * 2 > len(data[:_HEAD:4]) and zeros[2] * 2 > len(data[:_HEAD:4]):
        return "utf-32-be" if zeros[0] > zeros[3] else "utf-32-le"
    return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"


def _rows(path: Path, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """Return the lines that aren't empty, each with its number.

    Raises:
        CollectionError: If a quote is never closed, so that the rest of the file would be one cell.
    """
    csv.field_size_limit(MAX_BYTES)  # a cell may hold a picture as a data: URI
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows, first = [], 1
    last = first
    for row in reader:
        last, first = first, reader.line_num + 1
        if any(cell.strip() for cell in row):
            rows.append((reader.line_num, row))
    rest = list(itertools.islice(io.StringIO(text, newline=""), last - 1, None))
    try:
        list(csv.reader(rest, delimiter=delimiter, strict=True))
    except csv.Error as error:
        if "end of data" in str(error):
            raise CollectionError(
                'a quote (") is never closed, so that the rest of the file is one cell',
                where=Location(str(path), last),
                fix="close it, or write it twice where it is part of the text",
            ) from error
    return rows


def _delimiter(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    if _SEPARATOR.fullmatch(first.strip(" \r\n")) and first.strip(" \r\n")[-1] in _DELIMITERS:
        return first.strip(" \r\n")[-1]
    return max(_DELIMITERS, key=first.count)


def _text(value: str | None) -> str | None:
    return clean(value) or None if value else None


def _traits(cells: Mapping[str, str]) -> tuple[Trait, ...]:
    named = {
        name.removeprefix(_TRAIT): clean(value) for name, value in cells.items() if name.startswith(_TRAIT)
    }
    return tuple(Trait(type=name, value=value) for name, value in named.items() if value)


def _not_negative(
    numbers: Mapping[str, float | None], names: tuple[str, ...], notes: list[str]
) -> dict[str, Any]:
    """Take the numbers of these columns, and note each that is left out because it is negative."""
    found: dict[str, Any] = {}
    for name in names:
        number = numbers[name]
        if number is not None and number < 0:
            notes.append(f"{name} {number:g}: less than 0; left out")
        else:
            found[name] = number
    return found


def _prices(
    numbers: Mapping[str, float | None], cells: Mapping[str, str], notes: list[str]
) -> dict[str, Any]:
    found = _not_negative(numbers, ("price", "price_usd"), notes)
    return found | {"symbol": _text(cells.get("symbol")) if found.get("price") is not None else None}


def _counts(
    numbers: Mapping[str, float | None], cells: Mapping[str, str], notes: list[str]
) -> dict[str, Any]:
    found = _not_negative(numbers, ("tokens", "royalty"), notes)
    if numbers["year"] is not None:
        found["year"], wrong = plausible_year(numbers["year"])
        notes += [wrong] if wrong else []
    likes = numbers["likes"]
    if likes is not None and not (0 <= likes <= MOST and likes == int(likes)):
        notes.append(f"likes {likes:g}: {'too large' if likes > MOST else 'want a whole number'}; left out")
    elif likes is not None:
        found["likes"] = int(likes)
    if "nsfw" in cells:
        found["nsfw"] = _flag(cells["nsfw"], notes)
    return found


def _flag(text: str, notes: list[str]) -> bool | None:
    plain = text.casefold()
    if plain in _TRUE or plain in _FALSE:
        return plain in _TRUE
    notes.append(f"nsfw {clean(text, 40)!r}: want yes or no; left out")
    return None


def _refuse_unknown(columns: Mapping[str, str]) -> None:
    for name, column in columns.items():
        if name not in COLUMNS and not (name.startswith(_TRAIT) and len(name) > len(_TRAIT)):
            raise CollectionError(
                f"--map {name}={column}: want one of {', '.join(COLUMNS)}, or {_TRAIT}NAME for a trait",
                fix="put one of these in front of the =",
            )
