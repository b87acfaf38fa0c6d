"""The service worker: offline, under a sub-path and at a root, and from one build to the next."""

from __future__ import annotations

from pathlib import Path

import pytest
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
    page.goto(f"{server.url}ape/3/")  # a page that was never looked at: home instead
    wait_until(page, "url => location.href === url", arg=server.url)


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


def revisions(page: Page) -> set[str]:
    """The builds of which the page has used files."""
    return set(
        page.evaluate(
            "performance.getEntriesByType('resource')"
            ".map(({ name }) => new URL(name).searchParams.get('v')).filter(Boolean)"
        )
    )


def test_a_new_build_comes_whole_with_the_next_loads(context: BrowserContext, tmp_path: Path):
    build(tmp_path, BLOB)
    page = context.new_page()
    with serving(tmp_path / "build") as server:
        server.max_age_s = 0  # the ten minutes of GitHub Pages are over
        visit(page, f"{server.url}blob/")
        (old,) = revisions(page)
        build(tmp_path, BLOB.replace("title: Blob", "title: Glob").replace("images: 3", "images: 2"))
        page.evaluate("navigator.serviceWorker.getRegistration().then(one => one.update())")
        wait_until(
            page,
            "navigator.serviceWorker.getRegistration().then(one => !one.installing && !one.waiting)"
            ".then(idle => idle && caches.keys())"
            ".then(names => names && names.filter(name => name.startsWith('metagan:')).length === 2)",
        )
        assert press(page) != press(page)  # the open page goes on as the old one
        assert revisions(page) == {old}
        page.reload()
        expect(page.locator("h1")).to_have_text("This Glob Does Not Exist")
        live_picture(page)
        (new,) = revisions(page)
        assert new != old


def test_a_build_that_is_half_published_stays_out(context: BrowserContext, tmp_path: Path):
    build(tmp_path, BLOB)
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
        page.evaluate("localStorage['metagan:stuck'] = Date.now() - 25 * 3600 * 1000")
        page.evaluate("navigator.serviceWorker.getRegistration().then(one => one.update()).catch(() => {})")
        wait_until(page, "navigator.serviceWorker.getRegistrations().then(all => all.length === 0)")
        page.reload()
        expect(page.locator("h1")).to_have_text("This Glob Does Not Exist")


def test_generators_that_are_no_longer_published_are_let_go_of(context: BrowserContext, tmp_path: Path):
    build(tmp_path, BLOB)
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


def test_a_server_that_reloads_pages_gets_rid_of_what_was_kept(context: BrowserContext, tmp_path: Path):
    build(tmp_path, BLOB)
    page = context.new_page()
    with serving(tmp_path / "build") as server:
        server.max_age_s = 0
        visit(page, f"{server.url}blob/")
        server.reload = True
        page.evaluate("navigator.serviceWorker.getRegistration().then(one => one.update())")
        wait_until(page, "navigator.serviceWorker.getRegistrations().then(all => all.length === 0)")
        assert not [name for name in page.evaluate("caches.keys()") if name.startswith("metagan:")]
