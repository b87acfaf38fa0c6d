"""Accessible, calm, and whole at every width: checked on every kind of page."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.site.conftest import Witness, axe_in_light_and_dark, wait_for_picture, widths_exceeded
from tests.site.demo import Sort, make_content, write_site

pytestmark = pytest.mark.browser

PARTS = ["", "3/", "about/", "wall/", "?name=Ada"]
PATHS = ["", "ape/?seed=3", "bagel/", "ape/3/", "bagel/about/", "subjects/", "no/such/page"]


def test_axe_finds_nothing_in_light_and_dark(browser: Browser, site: str):
    page = browser.new_page(reduced_motion="reduce", bypass_csp=True)
    found = []
    for path in PATHS:
        page.goto(site + path)
        if path != "subjects/":
            wait_for_picture(page)
        found += [f"/{path}, {one}" for one in axe_in_light_and_dark(page)]
    page.close()
    assert found == []


def test_no_page_is_wider_than_its_window(browser: Browser, site: str):
    page = browser.new_page(viewport={"width": 320, "height": 844})
    wide = []
    for path in PATHS:
        page.goto(site + path)
        if path != "subjects/":
            wait_for_picture(page)
        wide += [(path, width) for width in widths_exceeded(page)]
    page.close()
    assert wide == []


REAL_WORD = "Grundstücksverkehrsgesetz"  # as long as words of daily papers are
NO_WORD = "Aper" * 50


@pytest.fixture(scope="module")
def wordy_site(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str]) -> str:
    """A site of which everything that somebody can write is one long word, in every place."""
    root = tmp_path_factory.mktemp("wordy")
    sorts = [
        Sort(slug, word, live=True, lines=True, licence=word, source=word)
        for slug, word in (("real", REAL_WORD), ("no", NO_WORD))
    ]
    content = make_content(*sorts, base_url="https://someone.example/", title=NO_WORD)
    subjects = tuple(
        replace(
            one,
            facts=replace(
                one.facts, architecture=NO_WORD, training={NO_WORD: NO_WORD, "data": {"name": NO_WORD}}
            ),
            pictures=tuple(replace(picture, text=NO_WORD) for picture in one.pictures),
        )
        for one in content.subjects
    )
    site = content.site.model_copy(update={"description": NO_WORD, "author": NO_WORD})
    write_site(replace(content, site=site, subjects=subjects), root)
    return f"{serve(root)}/"


def test_one_long_word_makes_no_page_wider_than_its_window(browser: Browser, wordy_site: str):
    page = browser.new_page(viewport={"width": 320, "height": 844})
    wide = []
    for path in ("", "subjects/", "lost", *(f"{slug}/{rest}" for slug in ("real", "no") for rest in PARTS)):
        page.goto(wordy_site + path)
        page.evaluate("for (const one of document.querySelectorAll('[hidden]')) one.hidden = false")
        for line in page.locator("[data-status], [data-live-note], [data-text], option").all():
            line.evaluate("(line, word) => (line.textContent = word)", NO_WORD)
        wide += [(path, width) for width in widths_exceeded(page)]
    page.close()
    assert wide == []


def test_short_words_beside_a_long_one_stay_whole(browser: Browser, wordy_site: str):
    page = browser.new_page(viewport={"width": 320, "height": 844})
    for path in ("no/", "no/3/", "no/about/"):
        page.goto(wordy_site + path)
        for link in page.locator(".top nav a").all():
            if link.text_content() != NO_WORD:
                assert link.evaluate("one => one.getClientRects()[0].height") < 50, (
                    path,
                    link.text_content(),
                )
        for word in page.locator(".facts dt").all():
            assert word.evaluate("one => one.getClientRects()[0].height") < 30, (path, word.text_content())
    page.close()


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1440, 900)])
def test_picture_and_button_are_in_sight_at_once(witness: Witness, site: str, width: int, height: int):
    page = witness.page
    page.set_viewport_size({"width": width, "height": height})
    page.goto(f"{site}bagel/?seed=100")
    wait_for_picture(page)
    for what in (page.locator("[data-frame] img"), page.get_by_role("button", name="Another one")):
        box = what.bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= height


def test_nothing_moves_for_those_who_ask_for_that(browser: Browser, site: str):
    moves = "getComputedStyle(document.querySelector('[data-frame] img')).animationName"
    names = []
    for motion in ("reduce", "no-preference"):
        page = browser.new_page(reduced_motion=motion)
        page.goto(f"{site}ape/")
        wait_for_picture(page)
        names.append(page.evaluate(moves))
        page.close()
    assert names == ["none", "arrive"]


def test_light_and_dark_have_their_own_page(browser: Browser, site: str):
    colours = set()
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(f"{site}ape/3/")
        colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.close()
    assert len(colours) == 2


def focus_is_visible(page: Page) -> bool:
    return page.evaluate("getComputedStyle(document.activeElement).outlineStyle !== 'none'")


def test_the_keyboard_reaches_everything_with_a_visible_focus(witness: Witness, site: str):
    page = witness.page
    page.goto(f"{site}ape/?seed=3")
    wait_for_picture(page)
    names = []
    for _ in range(24):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id"))
        assert focus_is_visible(page), names
    for wanted in (
        "Skip to the picture",
        "Another one →",
        "Permalink",
        "Download",
        "Share",
        "Copy API URL",
        "name",
    ):
        assert wanted in names


def test_the_skip_link_leads_to_the_picture(witness: Witness, site: str):
    witness.page.goto(f"{site}ape/3/")
    witness.page.keyboard.press("Tab")
    expect(witness.page.locator(".skip")).to_be_in_viewport()
    witness.page.keyboard.press("Enter")
    expect(witness.page).to_have_url(f"{site}ape/3/#main")


def test_what_a_screen_reader_hears_follows_the_picture(witness: Witness, site: str):
    witness.page.goto(f"{site}ape/?seed=3")
    wait_for_picture(witness.page)
    alt = "Ape no. 3: a machine-made picture of something that does not exist"
    expect(witness.page.locator("[data-announce]")).to_have_text(alt)
    expect(witness.page.locator("[data-frame] img")).to_have_attribute("alt", alt)


def test_a_long_word_in_the_headline_is_not_broken(browser: Browser, long_site: str):
    page = browser.new_page()
    lines = (
        "(() => { const range = document.createRange(); range.selectNodeContents(document.querySelector('h1 em'));"
        " return range.getClientRects().length })()"
    )
    for path in ("", "hummingbird/3/"):
        page.goto(long_site + path)
        wait_for_picture(page)
        for width in (320, 390, 960, 1100, 1280, 1440, 1920):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate(lines) == 1, (width, path)
    page.close()
