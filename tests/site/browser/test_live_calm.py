"""Live pages leave the page's own thread and memory alone, and are as accessible as the others."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Browser, Page

from tests.site.conftest import Witness, axe_in_light_and_dark, wait_until, widths_exceeded
from tests.site.live_site import live_picture, press, wait_for_mark

pytestmark = pytest.mark.browser


def open_all(page: Page, address: str) -> None:
    """A subject's page with its generator, two pictures in sight and one of them changed."""
    page.goto(address)
    wait_for_mark(page, "live-ready")
    page.locator("#pair").scroll_into_view_if_needed()
    wait_until(page, "document.querySelector('[data-two]').width > 0")


def test_axe_finds_nothing_in_light_and_dark(browser: Browser, server):
    page = browser.new_page(reduced_motion="reduce", bypass_csp=True)
    open_all(page, f"{server.url}blob/")
    found = axe_in_light_and_dark(page)
    page.get_by_role("button", name="Mix", exact=True).click()
    found += axe_in_light_and_dark(page)
    page.goto(f"{server.url}blob/wall/")
    wait_until(page, "document.querySelectorAll('[data-tiles] canvas').length > 8")
    found += axe_in_light_and_dark(page)
    page.goto(f"{server.url}alien/")
    found += axe_in_light_and_dark(page)
    page.close()
    assert found == []


def test_no_live_page_is_wider_than_its_window(browser: Browser, server):
    page = browser.new_page(viewport={"width": 320, "height": 844})
    wide = []
    open_all(page, f"{server.url}blob/")
    for mode in ("Mix", "Morph"):
        page.get_by_role("button", name=mode, exact=True).click()
        wide += [(mode, width) for width in widths_exceeded(page)]
    page.set_viewport_size({"width": 320, "height": 844})
    page.goto(f"{server.url}blob/wall/")
    wait_until(page, "document.querySelectorAll('[data-tiles] canvas').length > 8")
    wide += [("wall", width) for width in widths_exceeded(page)]
    page.close()
    assert wide == []


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1440, 900)])
def test_picture_button_and_slider_are_in_sight_at_once(browser: Browser, server, width: int, height: int):
    page = browser.new_page(viewport={"width": width, "height": height})
    page.goto(f"{server.url}ape/?seed=1&psi=0.9")
    live_picture(page)
    for what in (
        page.locator("[data-frame] canvas"),
        page.get_by_role("button", name="Another one"),
        page.locator("#psi"),
    ):
        box = what.bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= height
    page.close()


def test_the_page_s_own_thread_stays_free_while_pictures_are_made(browser: Browser, server):
    page = browser.new_page()
    page.goto(f"{server.url}ape/")
    wait_for_mark(page, "live-ready")
    page.wait_for_timeout(500)
    browser.start_tracing(page=page, categories=["toplevel"])
    for _ in range(40):
        press(page)
    events = json.loads(browser.stop_tracing())["traceEvents"]
    page.close()
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e.get("name") == "thread_name"}
    tasks = [e for e in events if names.get((e["pid"], e["tid"])) == "CrRendererMain" and "tdur" in e]
    assert len(tasks) > 100
    # Processor time in ms: on a busy machine a task also waits for its turn.
    assert max(task["tdur"] for task in tasks) / 1000 < 50


def heap(page: Page) -> int:
    """Bytes that the page's scripts hold, after the garbage is gone."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")
    session.detach()
    return int(used["usedSize"] + used.get("backingStorageSize", 0))


def test_many_pictures_take_no_more_memory_than_a_few(witness: Witness, server):
    page = witness.page
    page.goto(f"{server.url}blob/")
    wait_for_mark(page, "live-ready")

    def draw(times: int) -> int:
        for _ in range(times):
            press(page)
        return heap(page)

    draw(20)
    few = draw(20)
    many = draw(160)
    assert many - few < 300_000, (few, many)
