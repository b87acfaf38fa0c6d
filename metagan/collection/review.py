"""Reads and writes review.csv beside a collection: lines of id,choice, with the choice "out" for rejected items."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from metagan.collection.cells import csv_bytes, plain_cell
from metagan.errors import CollectionError, Location
from metagan.files import read_bytes, reason_of, write_bytes

REVIEW_NAME: Final = "review.csv"
_OUT: Final = "out"
_HEADER: Final = ["id", "choice"]


def read_review(collection: Path) -> frozenset[str]:
    """Return the rejected ids, or an empty set if there is no review.

    Raises:
        CollectionError: If review.csv can't be read, or has other lines than id,choice.
    """
    file = collection / REVIEW_NAME
    try:
        rows = list(csv.reader(io.StringIO(read_bytes(file).decode("utf-8-sig"), newline="")))
    except FileNotFoundError:
        return frozenset()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CollectionError(
            f"can't be read ({reason_of(error)})", where=file, fix="mend it, or take it away"
        ) from error
    return frozenset(_ids(file, rows))


def write_review(collection: Path, out: Iterable[str]) -> None:
    """Write the rejected ids atomically."""
    write_bytes(collection / REVIEW_NAME, csv_bytes(_HEADER, [(item_id, _OUT) for item_id in sorted(out)]))


def _ids(file: Path, rows: list[list[str]]) -> Iterator[str]:
    for number, row in enumerate(rows, 1):
        if not any(row) or row == _HEADER:
            continue
        if len(row) != 2 or row[1].strip().lower() not in (_OUT, "in"):
            what = f"want id,{_OUT}, got {','.join(row)[:60]!r}"
            raise CollectionError(
                what, where=Location(str(file), number), fix="mend that line, or take it away"
            )
        if row[1].strip().lower() == _OUT:
            yield plain_cell(row[0])
