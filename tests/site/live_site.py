"""A built site whose generators run in the browser, on a server with GitHub Pages' headers that counts requests."""

from __future__ import annotations

import base64
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import Page

from metagan.registry.read import read_registry
from metagan.site.build.build import BuildOptions, BuildReport, build_site
from metagan.site.serve.reload import BuiltSite, LiveSite
from metagan.site.serve.server import PagesHandler, PagesServer
from tests.site.conftest import wait_until

GOLDEN = Path(__file__).parents[1] / "golden"
REGISTRY = f"""\
site:
  title: Not Here
  base_url: https://someone.example/my/apes/
subjects:
  ape:
    title: Ape
    weights: bundled:apes
    licence: CC0-1.0
    source: made up
    images: 6
    psi: 0.8
  blob:
    title: Blob
    weights: {GOLDEN}/tf_ada_cond16.pkl
    licence: CC0-1.0
    source: made up
    images: 3
    class: 1
    psi: 0.7
  alien:
    title: Alien
    weights: {GOLDEN}/sg3t_cond16.pkl
    licence: CC0-1.0
    source: made up
    images: 3
    class: 1
    psi: 1
  shy:
    title: Shy
    weights: bundled:apes
    licence: CC0-1.0
    source: made up
    images: 3
    psi: 0.8
    live: never
"""
READ_CANVAS = """(selector) => {
  const { width, height } = document.querySelector(selector);
  const copy = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  [copy.canvas.width, copy.canvas.height] = [width, height];
  copy.drawImage(document.querySelector(selector), 0, 0);
  const { data } = copy.getImageData(0, 0, width, height);
  const parts = [];
  for (let i = 0; i < data.length; i += 8192) parts.push(String.fromCharCode(...data.subarray(i, i + 8192)));
  return [width, btoa(parts.join(""))];
}"""
STAGE = "[data-frame] canvas"
FRAMED = "[data-frame] .mat > *"
MARKED = "name => performance.getEntriesByName(`metagan:${name}`).length > 0"


# Keeps what pages ask of their workers waiting while `window.held` is a list.
HOLD_WORKERS = """
  const post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (...message) {
    if (window.held) window.held.push(() => post.apply(this, message));
    else post.apply(this, message);
  };
"""
LET_GO = "() => { const held = window.held; window.held = null; held.forEach((send) => send()); }"


class Silent:
    """Hears nothing."""

    def begin(self, what: str, total: int | None) -> None:
        pass

    def advance(self, amount: int) -> None:
        pass

    def transfer(self, transfer: object) -> None:
        pass


def build(folder: Path, registry: str = REGISTRY, **options: object) -> BuildReport:
    """Build a registry's site into folder/build."""
    path = folder / "registry.yaml"
    path.write_text(textwrap.dedent(registry))
    return build_site(BuildOptions(read_registry(path), folder / "build", device="cpu", **options), Silent())


class _Counting(PagesHandler):
    server: CountingServer

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        name = self.path.partition("?")[0].rpartition("/")[2]
        if (data := self.server.broken.get(name, self)) is None:
            self._send(404, {"Content-Type": "text/plain"}, b"gone")
        elif isinstance(data, bytes):
            self._send(200, {"Content-Type": "application/gzip"}, data)
        else:
            super().do_GET()

    def send_header(self, keyword: str, value: str) -> None:
        fresh = f"max-age={self.server.max_age_s}" if keyword == "Cache-Control" else value
        super().send_header(keyword, fresh)


class CountingServer(PagesServer):
    """GitHub Pages, with a memory of what it was asked for, and files that can be broken."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.broken: dict[str, bytes | None] = {}  # what files hold instead; None for those that are missing
        self.max_age_s = 600
        super().__init__("127.0.0.1", 0, reload=False, report=lambda _: None)
        self.RequestHandlerClass = _Counting

    def show(self, site: Path, subpath: str) -> None:
        """Serve this folder from now on."""
        self.live_site = LiveSite(BuiltSite(site, subpath, ()), 0.0)


@contextmanager
def serving(site: Path, subpath: str = "/my/apes/") -> Iterator[CountingServer]:
    with CountingServer() as server:
        server.show(site, subpath)
        poll = {"poll_interval": 0.02}  # what the end may wait for
        threading.Thread(target=server.serve_forever, kwargs=poll, daemon=True).start()
        yield server
        server.shutdown()


def wait_for_mark(page: Page, name: str) -> None:
    """Waits until the page has noted such a moment: "live-ready", "first-live-picture" ..."""
    wait_until(page, MARKED, arg=name)


def wait_until_kept(page: Page) -> None:
    """Waits until the service worker has everything and is at work."""
    wait_until(page, "navigator.serviceWorker.controller?.state === 'activated'")


def pixels(page: Page, selector: str = STAGE) -> np.ndarray:
    """What a canvas shows, [h, w, 4]."""
    wait_until(page, "selector => document.querySelector(selector)?.width > 0", arg=selector)
    size, text = page.evaluate(READ_CANVAS, selector)
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, size, 4)


def live_picture(page: Page) -> bytes:
    """The live picture on the stage, once there is one."""
    wait_until(page, "selector => document.querySelector(selector)", arg=STAGE)
    return pixels(page).tobytes()


def press(page: Page, key: str = " ") -> bytes:
    """Presses a key and waits for another live picture; again, where a prepared one was at hand already."""
    for _ in range(2):
        page.evaluate(f"window.former = document.querySelector('{FRAMED}')")
        page.keyboard.press(key)
        wait_until(page, f"window.former !== document.querySelector('{FRAMED}')")
        if page.evaluate(f"Boolean(document.querySelector('{STAGE}'))"):
            break
    return live_picture(page)
