"""Where the generator can't run: prepared pictures, everything else as ever, and one line that says why."""

from __future__ import annotations

import gzip

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.site.conftest import Witness, wait_for, wait_for_picture, wait_until
from tests.site.live_site import CountingServer, live_picture, press, wait_for_mark

pytestmark = pytest.mark.browser

NOTE = "[data-live-note]"
SAVER = "Object.defineProperty(navigator, 'connection', { value: { saveData: true } })"
MEMORY = "Object.defineProperty(navigator, 'deviceMemory', { value: 0.5 })"
WASM = "delete globalThis.WebAssembly"
OLD = "delete globalThis.DecompressionStream"
SCALAR = "WebAssembly.validate = () => false"


def assert_prepared(page: Page, words: str, server: CountingServer) -> None:
    """Whether the page works with prepared pictures and says why in one line."""
    wait_for_picture(page)
    expect(page.locator(NOTE)).to_contain_text(words)
    assert page.locator(NOTE).evaluate("note => note.textContent.length") < 90
    for _ in range(3):
        before = page.get_attribute("[data-frame] img", "src")
        page.keyboard.press(" ")
        wait_until(
            page, "src => document.querySelector('[data-frame] img')?.getAttribute('src') !== src", before
        )
    for hidden in ("#psi", "#pair"):
        expect(page.locator(hidden)).to_be_hidden()
    page.get_by_label("A name").fill("Ada")
    page.get_by_role("button", name="Show it").click()
    expect(page.locator("h1")).to_have_text("Ada’s Ape Does Not Exist")
    with page.expect_download() as download:
        page.get_by_text("Download", exact=True).click()
    assert download.value.suggested_filename.endswith(".webp")


@pytest.mark.parametrize(
    ("lack", "words"),
    [
        (SAVER, "Data saver is on"),
        (MEMORY, "short of memory"),
        (WASM, "no WebAssembly"),
        (OLD, "can’t run the generator"),
        (SCALAR, "can’t run the generator"),
    ],
)
def test_what_a_device_lacks_is_said_and_nothing_is_downloaded(
    witness: Witness, server, lack: str, words: str
):
    witness.page.add_init_script(lack)
    witness.page.goto(f"{server.url}ape/")
    assert_prepared(witness.page, words, server)
    assert not [path for path in server.seen if "/models/" in path]


def test_with_data_saver_the_generator_comes_when_it_is_asked_for(witness: Witness, server):
    page = witness.page
    page.add_init_script(SAVER)
    page.goto(f"{server.url}ape/")
    wait_for_picture(page)
    page.get_by_role("button", name="Fetch the generator").click()
    wait_for_mark(page, "live-ready")
    assert press(page) != press(page)
    page.reload()  # it is kept now, and costs nothing
    live_picture(page)


@pytest.mark.parametrize("what", ["cut", "other", "no gzip", "another's"])
def test_a_damaged_download_is_told_and_can_be_tried_again(browser: Browser, server, what: str):
    page = browser.new_page()
    site = server.live_site.built.folder
    whole = {file.name: file.read_bytes() for file in (site / "models").iterdir()}
    for name, data in whole.items():
        server.broken[name] = {
            "cut": data[:1000],
            "other": gzip.compress(b"nothing"),
            "no gzip": b"<html>not here</html>",
            "another's": next(other for other in whole.values() if other != data),
        }[what]
    page.goto(f"{server.url}ape/")
    wait_for_picture(page)
    expect(page.locator(NOTE)).to_contain_text("did not load")
    assert_prepared(page, "did not load", server)
    server.broken.clear()
    page.get_by_role("button", name="Fetch the generator").click()
    wait_for_mark(page, "live-ready")
    assert press(page) != press(page)
    page.close()


KERNELS = ("kernel.relaxed.wasm", "kernel.wasm")
EMPTY_MODULE = b"\0asm\1\0\0\0"


@pytest.mark.parametrize("what", ["missing", "cut", "another page", "no functions"])
def test_a_kernel_that_does_not_come_is_told_and_can_be_tried_again(browser: Browser, server, what: str):
    page = browser.new_page()
    for file in (server.live_site.built.folder / "static" / "live").glob("*.wasm"):
        assert file.name in KERNELS
        server.broken[file.name] = {
            "missing": None,
            "cut": file.read_bytes()[:5000],
            "another page": b"<html>not here</html>",
            "no functions": EMPTY_MODULE,
        }[what]
    page.goto(f"{server.url}ape/")
    assert_prepared(page, "did not load", server)
    page.goto(f"{server.url}ape/wall/")
    expect(page.locator(NOTE)).to_contain_text("did not load")
    wait_until(page, "document.querySelectorAll('[data-tiles] img').length === 6")
    server.broken.clear()
    page.get_by_role("button", name="Fetch the generator").click()
    wait_until(page, "document.querySelectorAll('[data-tiles] canvas').length > 3")
    page.close()


@pytest.mark.parametrize("what", [None, b"cut"])
def test_one_build_of_the_kernel_does_where_the_other_is_damaged(
    browser: Browser, server, what: bytes | None
):
    for name in KERNELS:
        server.broken = {name: what}
        page = browser.new_page()
        page.goto(f"{server.url}ape/")
        wait_for_mark(page, "live-ready")
        assert press(page) != press(page)
        page.close()


def test_a_kept_generator_that_is_damaged_is_fetched_again(witness: Witness, server):
    page = witness.page
    page.goto(f"{server.url}ape/")
    wait_for_mark(page, "live-ready")
    page.evaluate(
        "async () => { const cache = await caches.open('metagan-models');"
        " for (const request of await cache.keys()) await cache.put(request, new Response('damaged')) }"
    )
    page.goto(f"{server.url}ape/?seed=5&psi=0.3")
    live_picture(page)


def test_a_permalink_that_can_t_be_drawn_shows_another_picture_and_says_so(witness: Witness, server):
    page = witness.page
    page.add_init_script(WASM)
    page.goto(f"{server.url}ape/?seed=123456&psi=0.3")
    wait_for_picture(page)
    expect(page.locator("[data-status]")).to_have_text("There is no such picture here; this is another.")


def test_the_wall_leads_to_the_prepared_pictures(witness: Witness, server):
    page = witness.page
    page.add_init_script(WASM)
    page.goto(f"{server.url}ape/wall/")
    expect(page.locator(NOTE)).to_contain_text("no WebAssembly")
    wait_until(page, "document.querySelectorAll('[data-tiles] img').length === 6")
    wait_until(page, "[...document.querySelectorAll('[data-tiles] img')].every(one => one.naturalWidth > 0)")
    expect(page.locator(".wall")).not_to_contain_text("as you scroll")
    page.get_by_role("link", name="All 6 that were made beforehand").click()
    page.wait_for_url("**/ape/#sheet")


def test_a_wall_whose_generator_is_missing_shows_the_prepared_pictures(browser: Browser, server):
    page = browser.new_page()
    for file in (server.live_site.built.folder / "models").iterdir():
        server.broken[file.name] = b"gone"
    page.goto(f"{server.url}ape/wall/")
    expect(page.locator(NOTE)).to_contain_text("did not load")
    wait_until(page, "document.querySelectorAll('[data-tiles] img').length === 6")
    server.broken.clear()
    page.get_by_role("button", name="Fetch the generator").click()
    wait_until(page, "document.querySelectorAll('[data-tiles] canvas').length > 3")
    expect(page.locator(".count")).to_contain_text("The first ones were made beforehand")
    page.close()


def holding(page: Page) -> list[Route]:
    """Keeps back generators that the page asks for; the answer fills up with what waits."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/models/*", hold)
    return held


def test_a_wall_whose_generator_is_slow_is_not_empty_meanwhile(browser: Browser, server):
    page = browser.new_page()
    held = holding(page)
    page.goto(f"{server.url}ape/wall/")
    wait_until(page, "document.querySelectorAll('[data-tiles] img').length === 6")
    expect(page.locator(".count")).to_contain_text("These were made beforehand")
    for route in held:
        route.continue_()
    wait_until(page, "document.querySelectorAll('[data-tiles] canvas').length > 3")
    page.close()


def test_the_wall_without_javascript_shows_the_prepared_pictures(browser: Browser, server):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{server.url}ape/wall/")
    expect(page.locator(".wall li img:visible")).to_have_count(6)
    assert page.request.get(page.locator(".wall li img").last.evaluate("one => one.src")).ok
    words = page.locator(".wall").evaluate("wall => wall.innerText")
    assert "made beforehand" in words
    assert "as you scroll" not in words
    page.locator(".wall li a").nth(2).click()
    page.wait_for_url("**/ape/2/")
    context.close()


@pytest.mark.parametrize("query", ["?seed=123456&psi=0.3", "?name=Ada"])
def test_a_picture_whose_generator_is_slow_is_stood_in_for_meanwhile(browser: Browser, server, query: str):
    page = browser.new_page()
    held = holding(page)
    page.clock.install()
    page.goto(f"{server.url}ape/{query}")
    wait_for(page, lambda: bool(held))
    page.clock.fast_forward(4000)
    wait_for_picture(page)
    expect(page.locator("[data-status]")).to_contain_text("still on its way; this is another")
    assert page.url.endswith(query)
    for route in held:
        route.continue_()
    live_picture(page)
    expect(page.locator("[data-status]")).to_have_text("")
    page.close()


@pytest.mark.parametrize("path", ["ape/breed/", "ape/yours/"])
def test_pages_for_the_generator_alone_show_prepared_pictures_while_it_is_slow(
    browser: Browser, server, path: str
):
    page = browser.new_page()
    held = holding(page)
    page.clock.install()
    page.goto(server.url + path)
    wait_for(page, lambda: bool(held))
    page.clock.fast_forward(2000)
    expect(page.locator(".trio img:visible")).to_have_count(6)
    expect(page.locator("[data-meanwhile]")).to_be_visible()
    page.clock.resume()
    for route in held:
        route.continue_()
    expect(page.locator("[data-bench]")).to_be_visible()
    expect(page.locator(".trio:visible")).to_have_count(0)
    page.close()


def test_pages_offer_nothing_that_only_the_generator_can_do(browser: Browser, plain: Page, server):
    page = browser.new_page()
    page.add_init_script(WASM)
    page.goto(f"{server.url}ape/")
    expect(page.locator(NOTE)).to_contain_text("no WebAssembly")
    expect(page.locator("[data-live-play]:visible")).to_have_count(0)
    expect(page.get_by_text("Every name leads to one of the pictures here.")).to_be_visible()
    page.goto(f"{server.url}ape/3/")
    expect(page.get_by_text("made in your browser")).to_be_hidden()
    page.goto(f"{server.url}ape/yours/")
    expect(page.locator("[data-rule]")).to_be_hidden()
    page.close()
    for path in ("", "3/", "breed/", "yours/"):
        plain.goto(f"{server.url}ape/{path}")
        expect(plain.locator(".scripted").first).to_be_attached()
        expect(plain.locator(".scripted:visible")).to_have_count(0)
