"""The reload script in a real browser, under the pages' own security policy."""

import threading
import time
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from metagan.errors import BuildError
from metagan.site.serve.reload import BuiltSite, LiveSite, rebuild
from metagan.site.serve.server import PagesServer

pytestmark = pytest.mark.browser

POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'"
PAGE = """<!doctype html><html lang="en"><head><title>x</title>
<meta http-equiv="Content-Security-Policy" content="{policy}"></head><body><h1>{text}</h1></body></html>"""


def write(folder, text):
    (folder / "index.html").write_text(PAGE.format(policy=POLICY, text=text))
    return BuiltSite(folder, "/apes/")


@contextmanager
def serving(built):
    with PagesServer("127.0.0.1", 0, reload=True, report=lambda text: None) as server:
        server.live_site = LiveSite(built, time.time())
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_an_open_page_reloads_after_a_build_and_shows_why_one_failed(page, tmp_path):
    broken = []
    page.on("console", lambda message: broken.append(message.text) if "Security" in message.text else None)
    page.on("pageerror", lambda error: broken.append(str(error)))
    with serving(write(tmp_path, "one")) as server:
        page.goto(server.url)
        expect(page.locator("h1")).to_have_text("one")

        rebuild(server.live_site, lambda: write(tmp_path, "two"), str)
        expect(page.locator("h1")).to_have_text("two")

        def fail():
            raise BuildError("registry.yaml:3:1: <b>no</b>")

        rebuild(server.live_site, fail, str)
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("registry.yaml:3:1: <b>no</b>")
        expect(page.locator("h1")).to_have_text("two")
        assert alert.evaluate("box => getComputedStyle(box).position") == "fixed"

        rebuild(server.live_site, lambda: write(tmp_path, "three"), str)
        expect(page.locator("h1")).to_have_text("three")
        expect(alert).to_have_count(0)
        page.close()
    assert not broken


def test_a_page_that_was_built_before_it_could_listen_reloads(page, tmp_path):
    with serving(write(tmp_path, "one")) as server:
        page.route("**/events", lambda route: (time.sleep(0.3), route.continue_()))
        page.goto(server.url)
        rebuild(server.live_site, lambda: write(tmp_path, "two"), str)
        expect(page.locator("h1")).to_have_text("two")
        page.close()
