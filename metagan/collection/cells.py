"""Writes untrusted text into files that spreadsheets open."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from metagan.values import text_of

_EXECUTED: Final = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(value: object) -> object:
    """Return a cell that no spreadsheet executes: text that begins like a formula gets an apostrophe in front.

    OWASP, "CSV Injection". Numbers stay as they are.
    """
    return f"'{value}" if isinstance(value, str) and value.lstrip().startswith(_EXECUTED) else value


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Write a CSV file in UTF-8, with all text made safe for spreadsheets."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([safe_cell(name) for name in header])
    writer.writerows([["" if cell is None else safe_cell(cell) for cell in row] for row in rows])
    return text_of(out.getvalue()).encode()
