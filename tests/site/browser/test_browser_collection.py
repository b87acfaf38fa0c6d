"""The page about a collection, and the traits of a picture: accessible, whole at every width, without JavaScript."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from metagan.site.pages.check import sample_collection
from metagan.site.pages.content import ShownItem
from tests.site.conftest import axe_in_light_and_dark, widths_exceeded
from tests.site.demo import EVIL, Sort, draw_picture, make_content, write_site

pytestmark = pytest.mark.browser

PATHS = ["ape/collection/", "ape/1/"]
LONG = f"{EVIL}{'Aper' * 40}"


@pytest.fixture(scope="module")
def shown_site(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str]) -> str:
    """A site whose collection has one long hostile word in every place."""
    content = make_content(Sort(seeds=range(3)))
    shown = sample_collection([1])
    item = ShownItem(LONG, "pictures/ape/collection/0.png", (96, 96), "https://example.org/")
    kind = replace(
        shown.traits[0],
        counts=replace(shown.traits[0].counts, type=LONG),
        values=(replace(shown.traits[0].values[0], value=LONG),),
    )
    found = shown.predicted[1]
    found = replace(
        found,
        traits=(replace(found.traits[0], type=LONG, value=LONG), *found.traits[1:]),
        relatives=(replace(found.relatives[0], item=item),),
    )
    shown = replace(
        shown,
        name=LONG,
        licence=LONG,
        attribution=LONG,
        traits=(kind, *shown.traits),
        rarest=(replace(shown.rarest[0], item=item), *shown.rarest),
        accuracies=(replace(shown.accuracies[0], type=LONG), *shown.accuracies),
        predicted={1: found},
    )
    (ape,) = content.subjects
    folder = write_site(
        replace(content, subjects=(replace(ape, collection=shown),)),
        tmp_path_factory.mktemp("shown") / "sub" / "path",
    )
    for name in ("ape/collection/0.png", "one/collection/0.webp"):
        (folder / "pictures" / name).parent.mkdir(parents=True)
        draw_picture(0, (96, 96)).save(folder / "pictures" / name)
    return f"{serve(folder)}/"


def opened(page: Page, address: str) -> None:
    page.goto(address)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")


def test_axe_finds_nothing_in_light_and_dark_and_no_page_is_wider_than_its_window(
    browser: Browser, shown_site: str
):
    page = browser.new_page(reduced_motion="reduce", bypass_csp=True, viewport={"width": 320, "height": 844})
    found = []
    for path in PATHS:
        opened(page, shown_site + path)
        found += [f"/{path}, too wide for {width}" for width in widths_exceeded(page)]
        found += [f"/{path}, {one}" for one in axe_in_light_and_dark(page)]
    page.close()
    assert found == []


def test_a_picture_s_traits_and_the_way_to_the_collection_need_no_javascript(
    browser: Browser, shown_site: str
):
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"{shown_site}ape/1/")
    expect(page.get_by_role("heading", name="Its traits")).to_be_visible()
    expect(page.get_by_text("1 of 1 trait in common")).to_be_visible()
    page.get_by_role("link", name="More about the collection").click()
    page.wait_for_url("**/ape/collection/")
    expect(page.get_by_role("heading", level=1)).to_have_text("What the Ape Generator Saw")
    page.get_by_text("The numbers: items by rarity score").click()
    expect(page.get_by_role("cell", name="10", exact=True).first).to_be_visible()
    page.close()
