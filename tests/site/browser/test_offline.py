"""The service worker: offline, under a sub-path and at a root, and from one build to the next."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.site.conftest import Witness, wait_for_picture, wait_until
from tests.site.live_site import (
    REGISTRY,
    build,
    live_picture,
    press,
    serving,
    wait_for_mark,
    wait_until_kept,
)

pytestmark = pytest.mark.browser

HEAD, _, SUBJECTS = REGISTRY.partition("subjects:")
BLOB = f"{HEAD}subjects:\n  blob:{SUBJECTS.partition('  blob:')[2].partition('  alien:')[0]}"


@pytest.fixture
def context(browser: Browser) -> BrowserContext:
    context = browser.new_context()
    yield context
    context.close()


def visit(page: Page, address: str) -> None:
    page.goto(address)
    wait_for_mark(page, "live-ready")
    wait_until_kept(page)
    page.wait_for_load_state("networkidle")


def test_a_reload_without_a_network_makes_new_pictures(context: BrowserContext, server):
    page = context.new_page()  # no witness: Chromium itself reports every request that failed
    visit(page, f"{server.url}ape/")
    page.context.set_offline(True)
    seen = set()
    for _ in range(3):
        page.reload()
        seen.add(live_picture(page))
    assert len(seen) == 3
    press(page)
    page.goto(f"{server.url}ape/?seed=77&psi=0.9")
    live_picture(page)
    page.goto(f"{server.url}ape/wall/")
    wait_until(page, "document.querySelectorAll('[data-tiles] canvas').length > 3")
    page.goto(server.url)  # home takes the subject whose generator is at hand
    live_picture(page)
    expect(page.locator("h1")).to_contain_text("Ape")
    page.goto(f"{server.url}alien/")
    wait_for_picture(page)
    page.goto(f"{server.url}no/such/page")
    wait_until(page, "url => location.href === url", arg=server.url)


# What Chromium says behind a router that has no way out.
ONLINE = "Object.defineProperty(Navigator.prototype, 'onLine', { get: () => true })"
BROKEN = """[...document.images].filter(({ complete, naturalWidth, hidden, currentSrc }) =>
    complete && !naturalWidth && !hidden && currentSrc).map(({ currentSrc }) => currentSrc)"""
WHOLE = """[...document.querySelectorAll("[data-frame] :is(img, canvas)")]
    .some((one) => (one.complete && one.naturalWidth > 0) || one.width > 0 && one instanceof HTMLCanvasElement)"""
SETTLED = f"!document.querySelector('[aria-busy]') && {WHOLE}"
FEW = REGISTRY.replace("images: 6", "images: 24").replace("images: 3", "images: 24")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with far more pictures than a visit keeps."""
    folder = tmp_path_factory.mktemp("many")
    build(folder, FEW)
    return folder / "build"


@pytest.fixture
def cut(browser: Browser, many: Path) -> Iterator[Callable[[str], tuple[Page, str]]]:
    """Visits a page, then takes the network away without the browser's noticing: the page, and the site's address."""
    context = browser.new_context()
    context.add_init_script(ONLINE)
    with serving(many) as server:
        server.max_age_s = 0  # nothing comes from the browser's own cache

        def visit_and_cut(path: str) -> tuple[Page, str]:
            page = context.new_page()
            page.goto(server.url + path)
            if path:
                wait_for_mark(page, "live-ready")
            wait_until_kept(page)
            page.wait_for_load_state("networkidle")
            context.set_offline(True)
            return page, server.url

        yield visit_and_cut
        context.close()


def load(page: Page, address: str) -> None:
    """Opens a page and looks for broken pictures once it has settled."""
    page.goto(address)
    wait_until(page, SETTLED)
    assert page.evaluate("navigator.onLine")
    wait_until(page, f"({BROKEN}).length === 0")  # tiles and cards are taken out as their errors come


def press_on(page: Page, times: int) -> list[str]:
    """Asks for other pictures by key; the addresses or seeds of those that came."""
    shown = []
    for _ in range(times):
        page.keyboard.press("ArrowRight")
        wait_until(page, SETTLED)
        shown.append(page.locator('[data-text="seed"]').text_content())
    return shown


@pytest.mark.parametrize("visited", ["ape/", ""], ids=["a subject", "home alone"])
def test_without_a_network_no_load_shows_a_broken_picture(cut, visited: str):
    page, site = cut(visited)
    for _ in range(8):
        load(page, site)
    if visited:
        expect(page.locator("h1")).to_contain_text("Ape")  # home takes the generator that is at hand
    press_on(page, 3)
    for path in ("alien/", "shy/", "blob/"):  # never visited
        for _ in range(2):
            load(page, site + path)
        assert len(set(press_on(page, 7))) > 1
    for path in ("subjects/", "ape/about/", "alien/wall/"):
        page.goto(site + path)
        page.wait_for_load_state()
        wait_until(page, f"({BROKEN}).length === 0")


def test_a_picture_s_own_page_without_a_network_draws_the_picture_by_a_kept_generator(cut, many: Path):
    page, site = cut("ape/")
    page.evaluate(
        """async () => { for (const name of await caches.keys()) {
            const cache = await caches.open(name);
            for (const key of await cache.keys()) if (key.url.endsWith("ape/21.webp")) await cache.delete(key);
        } }"""
    )
    page.goto(f"{site}ape/21/")
    drawn = live_picture(page)
    expect(page.locator('[data-text="seed"]')).to_have_text("21")
    expect(page.locator("[data-status]")).to_have_text("")
    with Image.open(many / "pictures/ape/21.webp") as prepared:
        difference = np.frombuffer(drawn, np.uint8).astype(int) - np.asarray(prepared.convert("RGBA")).ravel()
    assert np.abs(difference).mean() < 3  # the file is compressed


def test_without_a_network_or_its_generator_a_picture_is_replaced_and_the_page_says_so(cut):
    page, site = cut("")
    page.goto(f"{site}alien/20/")
    wait_until(page, SETTLED)
    expect(page.locator("[data-status]")).to_have_text("That picture could not be loaded; this is another.")
    shown = page.locator('[data-text="seed"]').text_content()
    assert shown != "20"
    assert page.locator("[data-frame] img").get_attribute("src").endswith(f"alien/{shown}.webp")
    page.goto(f"{site}alien/?name=Ada")  # nor is another picture said to be Ada's
    wait_until(page, SETTLED)
    absent = page.locator("[data-status]").text_content() != ""
    assert page.locator("h1").text_content().startswith("This" if absent else "Ada’s")


def test_a_contact_sheet_without_a_network_shows_what_is_kept(cut):
    page, site = cut("")
    page.goto(f"{site}ape/#sheet")
    page.locator("#sheet").scroll_into_view_if_needed()
    wait_until(page, "document.querySelectorAll('[data-tiles] li[hidden]').length > 0")
    wait_until(page, f"({BROKEN}).length === 0")
    expect(page.locator("[data-tiles] li:visible").nth(3)).to_be_visible(timeout=60_000)


def test_a_picture_that_is_slow_to_come_is_left_for_one_at_hand(browser: Browser, many: Path):
    context = browser.new_context()
    context.add_init_script(ONLINE)
    with serving(many) as server:
        page = context.new_page()
        page.goto(server.url)
        wait_until_kept(page)
        page.wait_for_load_state("networkidle")
        context.route("**/pictures/shy/**", lambda _: None)  # never answers
        page.goto(f"{server.url}shy/")
        wait_until(page, SETTLED)
        assert page.evaluate(BROKEN) == []
    context.close()


def test_a_page_that_was_looked_at_is_there_without_a_network(witness: Witness, server):
    page = witness.page
    visit(page, f"{server.url}ape/")
    page.goto(f"{server.url}ape/3/")
    wait_for_picture(page)
    page.context.set_offline(True)
    page.reload()
    wait_for_picture(page)
    page.context.set_offline(False)


def test_it_works_at_the_root_of_a_host(browser: Browser, tmp_path: Path):
    build(tmp_path, BLOB.replace("someone.example/my/apes/", "someone.example/"))
    context = browser.new_context()
    with serving(tmp_path / "build", "/") as server:
        page = context.new_page()
        visit(page, f"{server.url}blob/")
        server.seen.clear()
        page.reload()
        live_picture(page)
        assert server.seen == []
    context.close()


FULL = """self.addEventListener("activate", () => {
  Cache.prototype.put = async () => { throw new DOMException("no room", "QuotaExceededError"); };
});
"""


def test_a_full_storage_keeps_no_page_nor_picture_away(context: BrowserContext, many: Path, tmp_path: Path):
    shutil.copytree(many, tmp_path / "build")
    worker = tmp_path / "build/sw.js"
    worker.write_text(FULL + worker.read_text())
    page = context.new_page()
    with serving(tmp_path / "build") as server:
        page.goto(server.url)
        wait_until_kept(page)
        for path in ("shy/20/", "shy/21/"):
            page.goto(server.url + path)
            wait_for_picture(page)
            assert page.url == server.url + path
        assert page.evaluate("fetch(new URL('../../api/shy.json', location)).then(({ ok }) => ok)")


@pytest.fixture(scope="module")
def blob(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small site, with its registry; a test copies it before it builds the next one there."""
    folder = tmp_path_factory.mktemp("blob")
    build(folder, BLOB)
    return folder


def revisions(page: Page) -> set[str]:
    """The builds of which the page has used files."""
    return set(
        page.evaluate(
            "performance.getEntriesByType('resource')"
            ".map(({ name }) => new URL(name).searchParams.get('v')).filter(Boolean)"
        )
    )


def keep_new_build(page: Page) -> None:
    """Have the service worker look for a new build, and wait until it keeps that beside the former one."""
    page.evaluate("navigator.serviceWorker.getRegistration().then(one => one.update())")
    wait_until(
        page,
        "navigator.serviceWorker.getRegistration().then(one => !one.installing && !one.waiting)"
        ".then(idle => idle && caches.keys())"
        ".then(names => names && names.filter(name => name.startsWith('metagan:')).length === 2)",
    )


def test_a_new_build_comes_whole_with_the_next_loads(context: BrowserContext, blob: Path, tmp_path: Path):
    shutil.copytree(blob, tmp_path, dirs_exist_ok=True)
    page = context.new_page()
    with serving(tmp_path / "build") as server:
        server.max_age_s = 0  # the ten minutes of GitHub Pages are over
        visit(page, f"{server.url}blob/")
        (old,) = revisions(page)
        build(tmp_path, BLOB.replace("title: Blob", "title: Glob").replace("images: 3", "images: 2"))
        keep_new_build(page)
        assert press(page) != press(page)  # the open page goes on as the old one
        assert revisions(page) == {old}
        page.reload()
        expect(page.locator("h1")).to_have_text("This Glob Does Not Exist")
        live_picture(page)
        (new,) = revisions(page)
        assert new != old


KEPT = """async (path) => {
  const names = (await caches.keys()).filter((name) => name.startsWith("metagan:"));
  const found = await Promise.all(names.map(async (name) => (await caches.open(name)).match(path)));
  return Promise.all(found.filter(Boolean).map(async (one) => [...new Uint8Array(await one.arrayBuffer())]));
}"""


def test_a_new_build_s_pictures_are_its_own_though_the_browser_has_the_former_ones(
    context: BrowserContext, blob: Path, tmp_path: Path
):
    shutil.copytree(blob, tmp_path, dirs_exist_ok=True)
    picture = min((tmp_path / "build/pictures/blob").glob("*.webp"))
    former = picture.read_bytes()
    page = context.new_page()
    with serving(tmp_path / "build") as server:
        address = f"{server.url}pictures/blob/{picture.name}"
        page.goto(address)  # the browser's own cache has it for ten minutes
        server.max_age_s = 0
        visit(page, f"{server.url}blob/")
        build(tmp_path, BLOB.replace("psi: 0.7", "psi: 0.2"))
        assert picture.read_bytes() != former
        keep_new_build(page)
        wait_until(page, f"path => ({KEPT})(path).then((found) => found.length === 2)", arg=address)
        assert [bytes(one) for one in page.evaluate(KEPT, address)] == [former, picture.read_bytes()]


def test_a_build_that_is_half_published_stays_out(context: BrowserContext, blob: Path, tmp_path: Path):
    shutil.copytree(blob, tmp_path, dirs_exist_ok=True)
    page = context.new_page()
    with serving(tmp_path / "build") as server:
        server.max_age_s = 0  # the ten minutes of GitHub Pages are over
        visit(page, f"{server.url}blob/")
        old = (tmp_path / "build/static/stage.js").read_bytes()
        build(tmp_path, BLOB.replace("title: Blob", "title: Glob"))
        (tmp_path / "build/static/stage.js").write_bytes(old + b"\n// of another build\n")
        page.evaluate("navigator.serviceWorker.getRegistration().then(one => one.update()).catch(() => {})")
        page.wait_for_timeout(1500)
        page.reload()
        live_picture(page)
        expect(page.locator("h1")).to_have_text("This Blob Does Not Exist")
        names = page.evaluate("caches.keys()")
        assert len([name for name in names if name.startswith("metagan:")]) == 1
        # After a day of that the old build goes too: nobody is left with it for ever.
        since = f"metagan:stuck:{urlsplit(server.url).path}"  # other sites of the origin have their own
        wait_until(page, "since => since in localStorage", arg=since)
        page.evaluate("since => (localStorage[since] = Date.now() - 25 * 3600 * 1000)", since)
        page.evaluate("navigator.serviceWorker.getRegistration().then(one => one.update()).catch(() => {})")
        wait_until(page, "navigator.serviceWorker.getRegistrations().then(all => all.length === 0)")
        page.reload()
        expect(page.locator("h1")).to_have_text("This Glob Does Not Exist")


def test_generators_that_are_no_longer_published_are_let_go_of(
    context: BrowserContext, blob: Path, tmp_path: Path
):
    shutil.copytree(blob, tmp_path, dirs_exist_ok=True)
    page = context.new_page()
    with serving(tmp_path / "build") as server:
        server.max_age_s = 0  # the ten minutes of GitHub Pages are over
        visit(page, f"{server.url}blob/")
        build(tmp_path, f"{BLOB}    noise: none\n")
        page.evaluate("navigator.serviceWorker.getRegistration().then(one => one.update())")
        wait_until(
            page, "caches.open('metagan-models').then(cache => cache.keys()).then(keys => keys.length === 0)"
        )
        page.reload()
        wait_for_mark(page, "live-ready")


def test_a_server_that_reloads_pages_gets_rid_of_what_was_kept(
    context: BrowserContext, blob: Path, tmp_path: Path
):
    shutil.copytree(blob, tmp_path, dirs_exist_ok=True)
    page = context.new_page()
    with serving(tmp_path / "build") as server:
        server.max_age_s = 0
        visit(page, f"{server.url}blob/")
        server.reload = True
        page.evaluate("navigator.serviceWorker.getRegistration().then(one => one.update())")
        wait_until(page, "navigator.serviceWorker.getRegistrations().then(all => all.length === 0)")
        assert not [name for name in page.evaluate("caches.keys()") if name.startswith("metagan:")]
