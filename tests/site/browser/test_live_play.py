"""Morph, mix and wall on the built site in a real Chromium."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.site.conftest import Witness, wait_for, wait_until
from tests.site.live_site import live_picture, pixels, wait_for_mark

pytestmark = pytest.mark.browser

RESULT = "[data-result]"


def is_still(page: Page) -> bool:
    before = position(page)
    page.wait_for_timeout(300)
    return position(page) == before


def open_pair(page: Page, address: str) -> None:
    page.goto(address)
    wait_for_mark(page, "live-ready")
    live_picture(page)
    page.locator("#pair").scroll_into_view_if_needed()
    wait_until(page, "document.querySelector('[data-two]').width === 64")


def position(page: Page) -> int:
    return int(page.locator("[data-position]").input_value())


def wait_for_pixels(page: Page, canvas: str, wanted: np.ndarray, *, equal: bool = True) -> None:
    """Wait until a canvas shows these pixels, or others; a busy machine takes longer."""
    for _ in range(600):
        if np.array_equal(pixels(page, canvas), wanted) is equal:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{canvas}: not {'these' if equal else 'other'} pixels within a minute")


def test_a_morph_moves_from_the_one_to_the_other_and_back(witness: Witness, server):
    page = witness.page
    open_pair(page, f"{server.url}ape/?seed=3&psi=0.7")
    wait_for_mark(page, "morph")
    wait_until(page, "document.querySelector('[data-position]').value >= 40")
    wait_until(page, "document.querySelector('[data-position]').value <= 8")
    page.get_by_role("button", name="Pause").click()
    stopped = position(page)
    page.wait_for_timeout(300)
    assert position(page) == stopped
    page.locator("[data-position]").fill("0")
    wait_for_pixels(page, RESULT, pixels(page, "[data-one]"))
    page.locator("[data-position]").fill("48")
    wait_for_pixels(page, RESULT, pixels(page, "[data-two]"))
    page.get_by_role("button", name="Play").click()
    wait_until(page, "document.querySelector('[data-position]').value < 40")


def test_neighbouring_steps_of_a_morph_differ_little(witness: Witness, server):
    page = witness.page
    open_pair(page, f"{server.url}ape/?seed=3&psi=0.7")
    page.get_by_role("button", name="Pause").click()
    page.locator("[data-position]").fill("0")
    wait_for_pixels(page, RESULT, pixels(page, "[data-one]"))
    shown = [pixels(page, RESULT)]
    for step in range(4, 49, 4):
        page.locator("[data-position]").fill(str(step))
        wait_for_pixels(page, RESULT, shown[-1], equal=False)
        shown.append(pixels(page, RESULT))
    shown = [each.astype(int) for each in shown]
    whole = np.abs(shown[0] - shown[-1]).mean()
    steps = [np.abs(a - b).mean() for a, b in pairwise(shown)]
    assert min(steps) > 0
    assert max(steps) < whole


def test_nothing_moves_by_itself_for_those_who_ask_for_that(browser: Browser, server):
    page = browser.new_page(reduced_motion="reduce")
    open_pair(page, f"{server.url}ape/?seed=3&psi=0.7")
    page.wait_for_timeout(500)
    assert position(page) == 0
    assert np.array_equal(pixels(page, RESULT), pixels(page, "[data-one]"))
    page.get_by_role("button", name="Play").click()
    wait_until(page, "document.querySelector('[data-position]').value > 3")
    page.close()


def test_a_morph_stops_out_of_sight(witness: Witness, server):
    page = witness.page
    open_pair(page, f"{server.url}ape/?seed=3&psi=0.7")
    wait_until(page, "document.querySelector('[data-position]').value > 3")
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    page.set_viewport_size({"width": 1280, "height": 500})
    wait_for(page, lambda: is_still(page))
    stopped = position(page)
    page.wait_for_timeout(300)
    assert position(page) == stopped


def test_a_mix_is_shown_large_under_an_address_of_its_own(witness: Witness, server):
    page = witness.page
    open_pair(page, f"{server.url}ape/?seed=3&psi=0.7")
    page.get_by_role("button", name="Mix", exact=True).click()
    expect(page.get_by_role("button", name="Save loop")).to_be_hidden()
    page.locator("[data-share-of]").fill("6")
    page.get_by_role("button", name="Show it large").click()
    page.wait_for_url(re.compile(r"\?seed=3&psi=0\.7&mix=\d+&from=4$"))
    wait_until(page, "document.querySelector('[data-text=\"seed\"]').textContent.includes('+')")
    wait_for(page, lambda: np.array_equal(pixels(page), pixels(page, RESULT)))
    mixed = pixels(page)
    for one in ("[data-one]", "[data-two]"):
        assert not np.array_equal(mixed, pixels(page, one))
    page.reload()
    live_picture(page)
    assert np.array_equal(pixels(page), mixed)


def test_a_mix_of_two_settings_is_previewed_as_its_address_draws_it(witness: Witness, server):
    page = witness.page
    open_pair(page, f"{server.url}ape/?seed=3&psi=0.7")
    page.get_by_role("button", name="Mix", exact=True).click()
    page.locator("#psi").fill("0.2")
    expect(page).to_have_url(re.compile(r"\?seed=3&psi=0\.2$"))
    former = pixels(page, "[data-one]")
    page.get_by_role("button", name="Take the one above").click()
    wait_for_pixels(page, "[data-one]", former, equal=False)
    page.locator("[data-share-of]").fill("6")
    page.get_by_role("button", name="Show it large").click()
    page.wait_for_url(re.compile(r"\?seed=3&psi=0\.2&mix=\d+&from=4$"))
    wait_until(page, "document.querySelector('[data-text=\"seed\"]').textContent.includes('+')")
    wait_for(page, lambda: np.array_equal(pixels(page), pixels(page, RESULT)))
    # A mix may be one of the next two: a morph begins with it.
    mixed = pixels(page)
    page.get_by_role("button", name="Morph", exact=True).click()
    page.get_by_role("button", name="Take the one above").click()
    wait_for_pixels(page, "[data-one]", mixed)


def test_a_morph_that_can_t_be_drawn_stops_and_begins_anew(witness: Witness, server):
    page = witness.page
    page.add_init_script("""
        const send = Worker.prototype.postMessage;
        Worker.prototype.postMessage = function (message, ...more) {
          if (window.failing && message.ask === "synthesize") throw new RangeError("no room");
          send.call(this, message, ...more);
        };
    """)
    open_pair(page, f"{server.url}ape/?seed=3&psi=0.7")
    wait_until(page, "document.querySelector('[data-position]').value > 3")
    page.evaluate("window.failing = true")
    page.locator("[data-another]").click()
    expect(page.locator("[data-status]")).to_have_text("That picture did not load; try another.")
    play = page.locator("[data-play]")
    expect(play).to_have_text("Play")
    stopped, partner = position(page), pixels(page, "[data-two]")
    page.evaluate("window.failing = false")
    play.click()
    wait_until(
        page, "before => Number(document.querySelector('[data-position]').value) !== before", arg=stopped
    )
    wait_for_pixels(page, "[data-two]", partner, equal=False)
    expect(play).to_have_text("Pause")


def test_another_partner_and_the_other_way_round(witness: Witness, server):
    page = witness.page
    open_pair(page, f"{server.url}ape/?seed=3&psi=0.7")
    page.get_by_role("button", name="Pause").click()
    one, two = pixels(page, "[data-one]"), pixels(page, "[data-two]")
    page.get_by_role("button", name="Swap").click()
    wait_for_pixels(page, "[data-one]", two)
    page.locator("[data-another]").click()
    wait_for_pixels(page, "[data-two]", one, equal=False)
    page.get_by_role("button", name="Take the one above").click()
    wait_for_pixels(page, "[data-one]", one)


def test_another_partner_is_made_by_all_workers_while_it_plays(witness: Witness, server):
    page = witness.page
    open_pair(page, f"{server.url}ape/?seed=3&psi=0.7")
    wait_for_mark(page, "morph")
    page.locator("[data-another]").click()
    wait_until(page, "performance.getEntriesByName('metagan:morph').length === 2")


FULL = "[...document.querySelectorAll('[data-tiles] canvas')].length"
MADE = "[...document.querySelectorAll('[data-near]')].every(item => item.querySelector('canvas'))"
HIDE = """hidden => {
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


def test_the_wall_goes_on_as_one_scrolls_and_lets_go_of_what_is_far(witness: Witness, server):
    page = witness.page
    page.goto(f"{server.url}ape/wall/")
    wait_until(page, f"{FULL} >= 24")
    full = []

    def is_far() -> bool:  # no wheel, whose steps a busy page takes one at a time
        page.evaluate("scrollBy({ top: 1500, behavior: 'instant' })")
        page.wait_for_timeout(80)
        full.append(page.evaluate(FULL))
        return page.locator("[data-tiles] li").count() > 200

    wait_for(page, is_far)
    assert max(full) < 160
    wait_until(page, MADE)
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    wait_until(page, "document.querySelector('[data-tiles] li canvas')")


def test_the_wall_stops_while_it_is_hidden(witness: Witness, server):
    page = witness.page
    page.goto(f"{server.url}ape/wall/")
    wait_until(page, f"{FULL} >= 24")
    page.evaluate(HIDE, True)
    page.mouse.wheel(0, 4000)
    wait_until(page, f"document.querySelectorAll('[data-near]').length > 0 && !({MADE})")
    page.wait_for_timeout(800)  # what was being made is there by now, or on a busy machine soon
    assert not page.evaluate(MADE)
    page.evaluate(HIDE, False)
    wait_until(page, MADE)


def test_a_tile_of_the_wall_leads_to_that_very_picture(witness: Witness, server):
    page = witness.page
    page.goto(f"{server.url}ape/wall/")
    wait_until(page, f"{FULL} >= 8")
    made = "[data-tiles] li:has(canvas)"  # others are prepared ones, where the generator is slow to come
    tile = pixels(page, f"{made} canvas")
    page.locator(f"{made} a").first.click()
    page.wait_for_url(re.compile(r"/ape/\?seed=\d+&psi=0\.8$"))
    live_picture(page)
    assert np.array_equal(pixels(page), tile)


def test_the_wall_gets_stranger_with_the_slider(witness: Witness, server):
    page = witness.page
    page.goto(f"{server.url}ape/wall/")
    wait_until(page, f"{FULL} >= 8")
    before = pixels(page, "[data-tiles] li canvas")
    page.locator("#psi").fill("0.2")
    wait_for_pixels(page, "[data-tiles] li canvas", before, equal=False)
    expect(page.locator("[data-tiles] a").first).to_have_attribute("href", re.compile("psi=0.2$"))
