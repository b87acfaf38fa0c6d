"""Converts prices to USD by rates from the user: a CSV of day, symbol, rate."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Mapping
from pathlib import Path

from metagan.collection.sources.csv_table import parse_number
from metagan.errors import CollectionError, Location
from metagan.files import read_bytes, reason_of

Rates = Mapping[tuple[str, str], float]


def read_rates(path: Path) -> Rates:
    """Read the USD value of one unit, by (day as "2021-08-31", symbol in capitals).

    Raises:
        CollectionError: If it can't be read, or a line isn't day, symbol, rate.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CollectionError(
            f"can't be read ({reason_of(error)})", where=f"--usd {path}", fix="check the path"
        ) from error
    rates: dict[tuple[str, str], float] = {}
    for number, row in enumerate(_rows(path, text), 1):
        if not any(row) or (number == 1 and row[0].strip().lower() == "day"):
            continue
        rate = parse_number(row[2], comma=False) if len(row) == 3 else None
        try:
            day = time.strftime("%Y-%m-%d", time.strptime(row[0].strip(), "%Y-%m-%d"))
        except ValueError:
            day = ""
        if not day or rate is None or rate <= 0:
            raise CollectionError(
                f"want day,symbol,rate, got {','.join(row)[:60]!r}",
                where=Location(str(path), number),
                fix="write lines such as 2021-08-31,ETH,3430.75",
            )
        rates[day, row[1].strip().upper()] = rate
    return rates


def _rows(path: Path, text: str) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise CollectionError(
            f"no CSV file ({error})", where=f"--usd {path}", fix="save it as CSV again"
        ) from error


def in_usd(price: float, symbol: str, at: int, rates: Rates) -> float | None:
    """Convert a price to USD by the rate of its day in UTC, or return None if there is no rate, or no such number."""
    day = time.strftime("%Y-%m-%d", time.gmtime(at))
    rate = rates.get((day, symbol.upper()))
    return None if rate is None or not math.isfinite(price * rate) else price * rate
