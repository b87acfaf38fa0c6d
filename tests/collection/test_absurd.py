"""Tables that somebody wrote by hand: absurd numbers are refused, or shown for what they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from metagan.collection.model import Item
from metagan.collection.report import write_report
from metagan.collection.table import open_table
from metagan.errors import CollectionError
from tests.collection.making import write


def test_prices_whose_sum_is_infinite_are_called_too_large(tmp_path: Path) -> None:
    items = [
        Item(id=str(n), price=price, symbol="ETH") for n, price in enumerate((1e308, 1.5e308, 1.2e308, 1))
    ]
    report = write_report([write(tmp_path / "dear", items)], tmp_path / "report")
    assert "too large" in report.page.read_text()
    document = json.loads((tmp_path / "report/index.json").read_text(), parse_constant=pytest.fail)
    assert document["collections"][0]["prices"][0]["tables"][0]["rows"][0]["mean"] is None


@pytest.mark.parametrize(
    "prices",
    [
        ([5e-324],),
        ([1.797e308],),
        ([5e-324, 1.797e308],),
        ([1.797e308, 1.7e308, 1.6e308, 1.5e308], [1]),
        ([1e-310, 2e-310, 3e-310, 4e-310, 5e-310],),
    ],
)
def test_prices_at_the_ends_of_what_numbers_hold_are_drawn(
    tmp_path: Path, prices: tuple[list[float], ...]
) -> None:
    collections = [
        write(tmp_path / f"c{number}", [Item(id=str(n), price=price) for n, price in enumerate(some)])
        for number, some in enumerate(prices)
    ]
    page = write_report(collections, tmp_path / "report").page.read_text()
    assert "powers of ten" in page
    assert not re.search(r"\d{3}(,\d{3}){5}", page), "nobody reads a number of three hundred digits"


@pytest.mark.parametrize(("name", "value"), [("year", 99999999), ("price", -4), ("likes", -3), ("sales", -1)])
def test_impossible_numbers_are_refused_with_their_item(tmp_path: Path, name: str, value: int) -> None:
    path = write(tmp_path / "art", [Item(id="a")])
    with (path / "items.jsonl").open("a") as lines:
        lines.write(json.dumps({"id": "b", name: value}) + "\n")
    with pytest.raises(CollectionError, match=f"item 'b': {name} {value}"):
        open_table(path)
