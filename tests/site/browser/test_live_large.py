"""A generator that is large: it is downloaded only after a click on a button that says how much it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from metagan.site.pages import content
from tests.site.conftest import Witness, wait_for, wait_for_picture, wait_until, widths_exceeded
from tests.site.live_site import (
    REGISTRY,
    CountingServer,
    build,
    live_picture,
    press,
    serving,
    wait_for_mark,
    wait_until_kept,
)

pytestmark = pytest.mark.browser

NOTE = "[data-live-note]"
BUTTON = re.compile(r"^(Draw new pictures here|Fetch the generator) \(2\.\d MB\)$")
STAND_IN = "The picture that was asked for takes the generator"


@pytest.fixture(scope="module")
def large_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site on which the apes' generator, of 2 to 3 MB, counts as large."""
    folder = tmp_path_factory.mktemp("large")
    registry = REGISTRY.partition("  blob:")[0].replace("images: 6", "images: 3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "UNASKED_BYTES", 1_000_000)
        build(folder, registry)
    return folder / "build"


@pytest.fixture
def large(large_site: Path) -> Iterator[CountingServer]:
    with serving(large_site) as server:
        yield server


def downloads(server: CountingServer) -> list[str]:
    """Generators that the server was asked for."""
    return [path for path in server.seen if "/models/" in path]


def button(page: Page) -> Locator:
    return page.get_by_role("button", name=BUTTON)


def test_nothing_is_downloaded_before_the_click_and_then_a_new_picture_is_drawn(
    witness: Witness, large: CountingServer
):
    page = witness.page
    page.goto(f"{large.url}ape/")
    wait_for_picture(page)
    expect(page.locator(NOTE)).to_have_text("These pictures were made beforehand.")
    expect(button(page)).to_contain_text("Draw new pictures here")
    assert not widths_exceeded(page)
    before = page.get_attribute("[data-frame] img", "src")
    page.keyboard.press(" ")
    wait_until(page, "src => document.querySelector('[data-frame] img')?.getAttribute('src') !== src", before)
    wait_until_kept(page)  # the service worker fetches none either
    page.wait_for_load_state("networkidle")
    assert not downloads(large)
    button(page).click()
    live_picture(page)  # without another press
    expect(page.locator(NOTE)).to_have_text("New ones are made right in your browser.")
    expect(button(page)).to_be_hidden()
    assert press(page) != press(page)
    assert len(downloads(large)) == 1
    page.reload()  # it is kept now, and costs nothing
    live_picture(page)
    page.goto(f"{large.url}ape/wall/")
    wait_until(page, "document.querySelectorAll('[data-tiles] canvas').length > 3")
    assert len(downloads(large)) == 1


def test_the_about_page_says_that_it_is_fetched_when_it_is_asked_for(large_site: Path):
    about = (large_site / "ape/about/index.html").read_text()
    assert re.search(r"\(2\.\d MB, fp16, fetched when you ask for it\)", about)


@pytest.mark.parametrize("path", ["", "ape/wall/", "ape/breed/", "ape/yours/"])
def test_every_page_that_needs_the_generator_asks_first(witness: Witness, large: CountingServer, path: str):
    page = witness.page
    page.goto(large.url + path)
    expect(button(page)).to_be_visible()
    expect(page.locator("img:visible").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert not downloads(large)
    button(page).click()
    wait_for(page, lambda: bool(downloads(large)))
    expect(button(page)).to_be_hidden()


def test_a_download_tells_how_far_it_is_and_can_be_stopped_and_begun_again(
    browser: Browser, large: CountingServer
):
    page = browser.new_page()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/models/*", hold)
    page.goto(f"{large.url}ape/")
    button(page).click()
    expect(page.locator(NOTE)).to_have_text(re.compile(r"^Fetching the generator, 2\.\d MB …$"))
    expect(page.get_by_role("progressbar", name="Generator fetched")).to_be_visible()
    wait_for(page, lambda: bool(held))
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(NOTE)).to_have_text("These pictures were made beforehand.")
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    expect(page.get_by_role("progressbar")).to_be_hidden()
    page.unroute("**/models/*")
    button(page).click()
    live_picture(page)
    page.close()


def test_a_failed_download_is_told_and_can_be_tried_again(browser: Browser, large: CountingServer):
    page = browser.new_page()
    for file in (large.live_site.built.folder / "models").iterdir():
        large.broken[file.name] = file.read_bytes()[:1000]
    page.goto(f"{large.url}ape/")
    button(page).click()
    expect(page.locator(NOTE)).to_contain_text("did not load")
    large.broken.clear()
    button(page).click()
    live_picture(page)
    page.close()


def test_a_kept_generator_that_is_damaged_is_not_downloaded_again_without_a_click(
    witness: Witness, large: CountingServer
):
    page = witness.page
    page.goto(f"{large.url}ape/")
    button(page).click()
    wait_for_mark(page, "live-ready")
    page.evaluate(
        "async () => { const cache = await caches.open('metagan-models');"
        " for (const request of await cache.keys()) await cache.put(request, new Response('damaged')) }"
    )
    large.seen.clear()
    page.reload()
    expect(page.locator(NOTE)).to_contain_text("did not load")
    assert not downloads(large)
    button(page).click()
    live_picture(page)


def test_the_picture_of_an_address_is_drawn_after_the_click(witness: Witness, large: CountingServer):
    page = witness.page
    page.goto(f"{large.url}ape/?seed=123456&psi=0.3")
    wait_for_picture(page)
    expect(page.locator("[data-status]")).to_contain_text(STAND_IN)
    button(page).click()
    live_picture(page)
    expect(page.locator('[data-text="seed"]').first).to_have_text("123456")
    assert page.url.endswith("?seed=123456&psi=0.3")
    expect(page.locator("[data-status]")).to_have_text("")


def test_a_device_with_little_memory_is_not_offered_it(witness: Witness, large: CountingServer):
    page = witness.page
    page.add_init_script("Object.defineProperty(navigator, 'deviceMemory', { value: 2 })")
    page.goto(f"{large.url}ape/")
    expect(page.locator(NOTE)).to_contain_text("short of memory")
    expect(button(page)).to_be_hidden()


# Workers of a device of so many cores and GB of memory; null is what a browser doesn't tell.
WORKERS = """async ([script, cores, memory, large]) => {
  const told = { hardwareConcurrency: cores ?? undefined, deviceMemory: memory ?? undefined };
  const define = ([name, value]) => Object.defineProperty(navigator, name, { value, configurable: true });
  Object.entries(told).forEach(define);
  return (await import(script)).workers({ large });
}"""


def test_there_are_as_many_workers_as_the_device_is_good_for(witness: Witness, large: CountingServer):
    witness.page.goto(f"{large.url}ape/about/")
    wanted = {
        (1, 8, False): 1,
        (2, 8, False): 2,
        (4, 8, False): 3,
        (16, 8, False): 4,
        (16, 2, False): 2,
        (None, None, False): 2,
        (16, 8, True): 2,  # a kernel of a large one takes up to a GB
        (16, 4, True): 1,
        (16, None, True): 1,
    }
    script = f"{large.url}static/live/able.js"
    got = {device: witness.page.evaluate(WORKERS, [script, *device]) for device in wanted}
    assert got == wanted
