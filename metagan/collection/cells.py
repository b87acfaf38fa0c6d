"""Writes untrusted text into files that spreadsheets open, and reads it back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from metagan.values import text_of

_EXECUTED: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # and their full-width forms
_SKIPPED: Final = ("\t", "\r", "\n")  # what a spreadsheet may pass over to find a formula


def safe_cell(value: object) -> object:
    """Return a cell that no spreadsheet executes: text that begins like a formula gets an apostrophe in front.

    OWASP, "CSV Injection". Numbers stay as they are.
    """
    return f"'{value}" if isinstance(value, str) and _is_formula(value) else value


def plain_cell(text: str) -> str:
    """Return the text that `safe_cell` made a cell of."""
    return text[1:] if text.startswith("'") and _is_formula(text[1:]) else text


def _is_formula(text: str) -> bool:
    # Those with an apostrophe already get one more, so that `plain_cell` gives them back.
    bare = text.lstrip("'")
    return bare.startswith(_SKIPPED) or bare.lstrip().startswith(_EXECUTED)


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Write a CSV file in UTF-8, with all text made safe for spreadsheets."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([safe_cell(name) for name in header])
    writer.writerows([["" if cell is None else safe_cell(cell) for cell in row] for row in rows])
    return text_of(out.getvalue()).encode()
