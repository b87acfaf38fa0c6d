"""A demo site on a local server, and a browser that tells on everything it shouldn't meet."""

from __future__ import annotations

import contextlib
import http.server
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, BrowserType, Error, Page, expect

from scripts.browser import CHROMIUM
from tests.site.demo import EVIL, Sort, make_content, write_site

# A host name that is no trustworthy origin, as plain http on a stranger's server is none.
INSECURE_HOST = "apes.test"
PATIENCE_S = 120  # for whatever a page does: beside other programs it takes many times as long
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1",
]

# WebGPU without a GPU: a program computes it.
GPU_FLAGS = [
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
    "--use-vulkan=swiftshader",
]


@pytest.fixture(scope="session", autouse=True)
def patience() -> None:
    """Let playwright's own waits last as long as those here, not the 5 seconds that it gives an expectation."""
    expect.set_options(timeout=1000 * PATIENCE_S)


@pytest.fixture(autouse=True)
def patient_context(request: pytest.FixtureRequest) -> None:
    """The same for clicks and navigations of the test's own context."""
    if "context" in request.fixturenames:
        request.getfixturevalue("context").set_default_timeout(1000 * PATIENCE_S)


@pytest.fixture(scope="session")
def base_url() -> None:
    """Nothing: in place of a plugin's own fixture, of which pytest warns."""


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    return {"executable_path": CHROMIUM, "args": FLAGS}


@pytest.fixture(scope="session")
def gpu_browser(
    browser_type: BrowserType,
    browser_type_launch_args: dict[str, object],
    serve: Callable[[Path], str],
    tmp_path_factory,
) -> Iterator[Browser]:
    """A browser with WebGPU, in software."""
    browser = browser_type.launch(**browser_type_launch_args | {"args": [*FLAGS, *GPU_FLAGS]})
    folder = tmp_path_factory.mktemp("gpu")
    (folder / "404.html").write_text("")
    page = browser.new_page()
    page.goto(serve(folder))  # blank pages have none
    if not page.evaluate("async () => Boolean(await navigator.gpu?.requestAdapter())"):
        pytest.skip("this Chromium has no WebGPU, not even in software")
    page.close()
    yield browser
    browser.close()


class _Pages(http.server.SimpleHTTPRequestHandler):
    """Serves a folder as GitHub Pages does: 404.html for the unknown, no special headers."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        if code != HTTPStatus.NOT_FOUND:
            super().send_error(code, message, explain)
            return
        body = next(Path(self.directory).rglob("404.html")).read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(http.server.ThreadingHTTPServer):
    """Says nothing of browsers that hang up: a closed page's service worker does."""

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves a folder; the answer is its address, without a closing slash."""
    servers = []

    def start(folder: Path) -> str:
        server = _Server(("127.0.0.1", 0), partial(_Pages, directory=str(folder)))
        poll = {"poll_interval": 0.02}  # what the end may wait for
        threading.Thread(target=server.serve_forever, kwargs=poll, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str]) -> str:
    """A site under the sub-path /my/apes/: two subjects, one with lines and a game, one larger with a hostile title."""
    root = tmp_path_factory.mktemp("site")
    content = make_content(
        Sort(lines=True, reals=15),
        Sort("bagel", EVIL, seeds=range(100, 400), width_px=192, height_px=128, licence="unknown"),
        base_url="https://someone.example/my/apes/",
    )
    write_site(content, root / "my" / "apes")
    return f"{serve(root)}/my/apes/"


@pytest.fixture(scope="session")
def root_site(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str]) -> str:
    """A site at a domain's root, without picture pages."""
    root = tmp_path_factory.mktemp("root")
    write_site(make_content(Sort(), base_url="https://someone.example/", picture_pages=False), root)
    return f"{serve(root)}/"


@pytest.fixture(scope="session")
def lone_site(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str]) -> str:
    """A site that has a single picture."""
    root = tmp_path_factory.mktemp("lone")
    write_site(make_content(Sort(seeds=(7,)), base_url="https://someone.example/"), root)
    return f"{serve(root)}/"


@pytest.fixture(scope="session")
def long_site(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str]) -> str:
    """A site whose subject has a long name."""
    root = tmp_path_factory.mktemp("long")
    write_site(make_content(Sort("hummingbird", "Hummingbird"), base_url="https://someone.example/"), root)
    return f"{serve(root)}/"


@dataclass
class Witness:
    """What a page did that it shouldn't have."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _console(self, message: object) -> None:
        if message.type in {"error", "warning"} and "status of 404" not in message.text:
            self.complaints.append(message.text)

    def foreign(self) -> list[str]:
        home = self.page.url.split("/")[2]
        return [url for url in self.requests if url.split("/")[2] != home and not url.startswith("data:")]


def wait_for(page: Page, holds: Callable[[], bool]) -> None:
    """Waits until something holds, while the page goes on."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        page.wait_for_timeout(20)


def wait_until(page: Page, script: str, arg: object = None) -> None:
    """Waits until a script says yes. Playwright's own way evaluates strings in the page, which its policy refuses."""
    end = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(Error):  # the page is on its way to the next one
            if page.evaluate(script, arg):
                return
        assert time.monotonic() < end, f"not true after {PATIENCE_S} s: {script}"
        page.wait_for_timeout(20)


def wait_for_picture(page: Page) -> None:
    """Waits until the page's frame shows a whole picture."""
    wait_until(page, "document.querySelector('.frame img')?.naturalWidth > 0")


def axe_in_light_and_dark(page: Page, context: str | None = None) -> list[str]:
    """What axe finds wrong with the page as it is, in both colour schemes."""
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        violations = Axe().run(page, context=context).response["violations"]
        found += [f"{scheme}: {one['id']}: {one['nodes'][0]['html']}" for one in violations]
    return found


def widths_exceeded(page: Page) -> list[int]:
    """The windows' widths, of phones, tablets and desktops, that the page as it is doesn't fit into."""
    wide = []
    for width in (320, 390, 768, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(width)
    return wide


@pytest.fixture
def witness(page: Page) -> Iterator[Witness]:
    """A page with a desktop's window; the test fails if it complained or called another host."""
    seen = Witness(page)
    yield seen
    assert seen.complaints == []
    assert seen.foreign() == []


@pytest.fixture
def plain(browser: object) -> Iterator[Page]:
    """A page without JavaScript."""
    context: BrowserContext = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def live_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built site whose generators run in the browser."""
    from tests.site.live_site import build

    folder = tmp_path_factory.mktemp("live-site")
    build(folder)
    return folder / "build"


@pytest.fixture
def server(live_build: Path) -> Iterator[object]:
    """That site on a `CountingServer`, under /my/apes/."""
    from tests.site.live_site import serving

    with serving(live_build) as found:
        yield found
