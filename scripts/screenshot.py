"""Takes README's picture of the default site: builds it, serves it, and looks at it in Chromium."""

import sys
import tempfile
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

from metagan.cli import metagan
from metagan.site.serve.reload import BuiltSite, LiveSite
from metagan.site.serve.server import PagesServer
from scripts.browser import CHROMIUM

TARGET = Path(__file__).parents[1] / "docs" / "screenshot.png"
PAGE = sys.argv[1] if len(sys.argv) > 1 else "bagel/?seed=34"


def main() -> None:
    """Build, serve, look."""
    with tempfile.TemporaryDirectory() as name:
        site = Path(name) / "site"
        metagan(["build", "--out", str(site)], standalone_mode=False)
        with PagesServer("127.0.0.1", 0, reload=False, report=lambda _: None) as server:
            server.live_site = LiveSite(BuiltSite(site, "/", ()), 0.0)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            take(server.url + PAGE)
            server.shutdown()


def take(address: str) -> None:
    """Look at one page, as wide as a laptop."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 840})
        page.goto(address)
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(2000)  # the picture of that seed is made meanwhile
        page.screenshot(path=TARGET)
        browser.close()


main()
