"""Live pages leave the page's own thread and memory alone, and are as accessible as the others."""

from __future__ import annotations

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.site.conftest import Witness, wait_until
from tests.site.live_site import live_picture, press, wait_for_mark

pytestmark = pytest.mark.browser


def open_all(page: Page, address: str) -> None:
    """A subject's page with its generator, two pictures in sight and one of them changed."""
    page.goto(address)
    wait_for_mark(page, "live-ready")
    page.locator("#pair").scroll_into_view_if_needed()
    wait_until(page, "document.querySelector('[data-two]').width > 0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, server, scheme: str):
    page = browser.new_page(color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)
    open_all(page, f"{server.url}blob/")
    found = Axe().run(page).response["violations"]
    page.get_by_role("button", name="Mix", exact=True).click()
    found += Axe().run(page).response["violations"]
    page.goto(f"{server.url}blob/wall/")
    wait_until(page, "document.querySelectorAll('[data-tiles] canvas').length > 8")
    found += Axe().run(page).response["violations"]
    page.goto(f"{server.url}alien/")
    found += Axe().run(page).response["violations"]
    page.close()
    assert [f"{v['id']}: {v['nodes'][0]['html']}" for v in found] == []


@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_no_live_page_is_wider_than_its_window(browser: Browser, server, width: int):
    page = browser.new_page(viewport={"width": width, "height": 844})
    wide = []
    open_all(page, f"{server.url}blob/")
    for mode in ("Mix", "Morph"):
        page.get_by_role("button", name=mode, exact=True).click()
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(mode)
    page.goto(f"{server.url}blob/wall/")
    wait_until(page, "document.querySelectorAll('[data-tiles] canvas').length > 8")
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        wide.append("wall")
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
