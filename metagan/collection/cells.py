"""Writes untrusted text into files that spreadsheets open, and reads it back."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

from metagan.values import text_of

_EXECUTED: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # and their full-width forms
_NUMBER: Final = re.compile(r"[+-][0-9]+(?:[.,][0-9]+)?%?")
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


def csv_bytes(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, plain_numbers: bool = False
) -> bytes:
    """Write a CSV file in UTF-8, with all text made safe for spreadsheets.

    Args:
        header: Names of the columns.
        rows: Their cells; None is an empty one.
        plain_numbers: Whether text such as "+5" stays as it is, in a file that isn't read back by `plain_cell`.
    """

    def written(cell: object) -> object:
        is_number = plain_numbers and isinstance(cell, str) and _NUMBER.fullmatch(cell)
        return "" if cell is None else cell if is_number else safe_cell(cell)

    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([safe_cell(name) for name in header])
    writer.writerows([[written(cell) for cell in row] for row in rows])
    return text_of(out.getvalue()).encode()
