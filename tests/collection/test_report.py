"""The report as files, and as a page."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from click.testing import CliRunner
from PIL import Image
from playwright.sync_api import Browser

from metagan.cli import metagan
from metagan.collection.model import Item
from metagan.collection.report import write_report
from metagan.errors import CollectionError
from tests.collection.making import FIVE, png, traits, with_pictures, write
from tests.site.conftest import base_url, browser_type_launch_args  # noqa: F401

EVIL = "<script>alert(1)</script>"


def test_a_report_is_a_page_json_and_csv(tmp_path: Path) -> None:
    path = write(tmp_path / "five", FIVE)
    result = CliRunner().invoke(metagan, ["collection", "report", str(path), "--trim", "20"])
    assert result.exit_code == 0, result.output
    assert "5 prices: mean 21.8 ETH, median 2 ETH" in result.stdout
    (five,) = json.loads((path / "report/index.json").read_text())["collections"]
    assert [row["left"] for row in five["prices"][0]["tables"]] == [5, 3]
    assert five["years"] == [[2019, 2], [2020, 2], [2021, 1]]
    assert five["groups"]["type"] == [["photo", 3], ["not said", 1], ["video", 1]]
    rows = list(csv.DictReader((path / "report/rarity.csv").read_text().splitlines()))
    assert [(row["id"], row["rarity_rank"]) for row in rows] == [
        ("A", "2"),
        ("B", "4"),
        ("C", "1"),
        ("D", "2"),
        ("E", "4"),
    ]


def test_the_same_collection_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    path = write(tmp_path / "five", FIVE)
    pages = [write_report([path], tmp_path / name).page.read_bytes() for name in ("one", "two")]
    assert pages[0] == pages[1]


def test_nothing_of_a_stranger_is_run_by_a_page_or_a_spreadsheet(tmp_path: Path) -> None:
    formula = '=HYPERLINK("http://x")'
    items = [
        Item(
            id="1",
            name=EVIL,
            traits=traits(**{EVIL: EVIL}),
            type=EVIL,
            price=1,
            symbol=EVIL,
            year=2000,
            notes=(EVIL,),
        ),
        Item(
            id=formula,
            name="@SUM(1)",
            traits=traits(Hat='"><img src=x onerror=alert(1)>'),
            rights=EVIL,
            missing=EVIL,
        ),
    ]
    path = write(tmp_path / "evil", items, title=EVIL, attribution=EVIL)
    page = write_report([path, path], tmp_path / "out").page.read_text()
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "onerror=alert(1)&gt;" in page
    cells = [
        cell for row in csv.reader((tmp_path / "out/rarity.csv").read_text().splitlines()) for cell in row
    ]
    assert not [cell for cell in cells if cell.startswith(("=", "@"))]
    assert f"'{formula}" in cells


def test_collections_side_by_side_and_a_collection_without_anything(tmp_path: Path) -> None:
    bare = write(tmp_path / "bare", [Item(id="1"), Item(id="2")], licence=None)
    five = write(tmp_path / "five", FIVE)
    report = write_report([bare, five], tmp_path / "out")
    page = report.page.read_text()
    assert "Side by side" in page
    assert page.count("<h2>") == 3
    assert not report.analyses[0].rarest


def test_one_item_of_one_price_is_enough(tmp_path: Path) -> None:
    path = write(tmp_path / "one", [Item(id="1", price=2.5, year=2020, traits=traits(Hat="Cap"))])
    assert write_report([path], tmp_path / "out").analyses[0].rarest[0].rarity == 1


def test_what_is_no_collection_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="no collection here"):
        write_report([tmp_path], tmp_path / "out")


@pytest.mark.browser
def test_the_page_is_accessible_in_light_and_dark_on_phone_and_desktop(
    tmp_path: Path, browser: Browser
) -> None:
    five = with_pictures(tmp_path / "five", FIVE, {item.id: png(Image.new("RGB", (8, 8))) for item in FIVE})
    page_file = write_report([five, five], tmp_path / "out").page
    for width, scheme in ((390, "light"), (1440, "dark")):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        page.goto(page_file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate("for (const image of document.images) image.loading = 'eager'")
        page.wait_for_function("[...document.images].every((image) => image.complete)")
        widths = page.evaluate("[...document.images].map((image) => image.naturalWidth)")
        assert widths
        assert all(widths)
        assert [violation["id"] for violation in Axe().run(page).response["violations"]] == []
        page.close()
