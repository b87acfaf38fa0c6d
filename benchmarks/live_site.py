"""What a live page takes: until its pictures are there, to get to the visitor, to morph, and to go on for long.

The site is built as `metagan build` builds it and served with GitHub Pages' headers from this machine, so there is no
network in the times. The page notes the moments itself (templates/static/studio.js).
"""

import gzip
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.live import NETWORKS, make_network
from benchmarks.site import Silent
from metagan.checkpoints.write import write_safetensors
from metagan.networks.loading.forms import describe
from metagan.registry.read import read_registry
from metagan.site.build.build import BuildOptions, build_site
from metagan.site.routes import content_type
from metagan.site.serve.reload import BuiltSite, LiveSite
from metagan.site.serve.server import PagesHandler, PagesServer
from scripts.browser import CHROMIUM

VISITS, WARM_UP, PICTURES = 5, 50, 500
HEAD = """\
site:
  title: These Things Do Not Exist
  base_url: https://example.org/things/
subjects:
"""
SUBJECT = """\
  {slug}:
    title: Thing
    weights: {weights}
    licence: CC0-1.0
    source: a measurement
    images: {images}
    psi: 0.8
    live: always
"""
MARKS = """Object.fromEntries(performance.getEntriesByType("mark")
  .map(({ name, startTime }) => [name.replace("metagan:", ""), startTime]))"""
# One picture after the other, as fast as they come.
PRESS = """async (times) => {
  const shown = () => document.querySelector("[data-frame] .mat").firstElementChild;
  for (let i = 0; i < times; i++) {
    const before = shown();
    document.querySelector("button[data-next]").click();
    while (shown() === before) await new Promise((resolve) => setTimeout(resolve, 1));
  }
}"""


class _Counting(PagesHandler):
    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        SEEN.append(self.path)
        super().do_GET()


SEEN: list[str] = []


@contextmanager
def _served(site: Path) -> Iterator[str]:
    with PagesServer("127.0.0.1", 0, reload=False, report=lambda _: None) as server:
        server.RequestHandlerClass = _Counting
        server.live_site = LiveSite(BuiltSite(site, "/things/", ()), 0.0)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.url
        server.shutdown()


def _build(folder: Path, weights: dict[str, str], images: int) -> Path:
    path = folder / "registry.yaml"
    subjects = (SUBJECT.format(slug=slug, weights=file, images=images) for slug, file in weights.items())
    path.write_text(HEAD + "".join(subjects))
    build_site(BuildOptions(read_registry(path), folder / "site", device="cpu"), Silent())
    return folder / "site"


def _wait(page: Page, script: str, timeout_s: float = 120) -> None:
    end = time.monotonic() + timeout_s
    while not page.evaluate(script):
        if time.monotonic() > end:
            raise TimeoutError(script)
        page.wait_for_timeout(10)


def _marked(name: str) -> str:
    return f"performance.getEntriesByName('metagan:{name}').length > 0"


def _visit(browser: Browser, address: str) -> dict[str, float]:
    """A first visit with a key pressed as soon as that brings a live picture, and a second one: milliseconds."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    _wait(page, _marked("live-ready"))
    page.evaluate(PRESS, 1)
    _wait(page, _marked("first-live-picture"))
    cold = page.evaluate(MARKS)
    _wait(page, "navigator.serviceWorker.controller?.state === 'activated'")
    page.reload()
    _wait(page, _marked("first-live-picture"))
    warm = page.evaluate(MARKS)
    context.close()
    return {
        "first_picture_ms": cold["first-picture"],
        "live_cold_ms": cold["first-live-picture"],
        "live_warm_ms": warm["first-live-picture"],
    }


def _first_visit_bytes(browser: Browser, address: str, site: Path) -> int:
    """Everything that a first visit asks for, what the service worker keeps included, as a host sends it."""
    SEEN.clear()
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    _wait(page, _marked("live-ready"))
    _wait(page, "navigator.serviceWorker.controller?.state === 'activated'")
    page.wait_for_load_state("networkidle")
    context.close()
    return sum(_sent(site, path) for path in SEEN)


def _sent(site: Path, path: str) -> int:
    """GitHub Pages gzips text and WebAssembly."""
    file = site / path.partition("?")[0].removeprefix("/things/")
    file = file / "index.html" if file.is_dir() else file
    if not file.is_file():
        return 0
    data = file.read_bytes()
    packed = content_type(file.name).startswith(("text/", "application/j", "application/wasm", "image/svg"))
    return len(gzip.compress(data)) if packed else len(data)


def _memory_mb(browser: Browser, page: Page) -> float:
    """Of the pages' and workers' processes, resident, once the page's garbage is gone."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.detach()
    page.wait_for_timeout(500)
    pages = (Path(f"/proc/{process['id']}/statm").read_text().split()[1] for process in _renderers(browser))
    return sum(map(int, pages)) * 4096 / 1e6


def _cpu_s(browser: Browser) -> float:
    """Processor seconds that pages and workers have taken so far."""
    return float(sum(process["cpuTime"] for process in _renderers(browser)))


def _renderers(browser: Browser) -> list[dict[str, Any]]:
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return [process for process in processes if process["type"] == "renderer"]


def _endurance(browser: Browser, address: str) -> dict[str, float]:
    """Many pictures in one page: memory after some and after many, and the longest task meanwhile."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    _wait(page, _marked("live-ready"))
    page.wait_for_timeout(1000)
    page.evaluate(PRESS, WARM_UP)
    early = _memory_mb(browser, page)
    begin = time.perf_counter()
    page.evaluate(PRESS, PICTURES)
    seconds = time.perf_counter() - begin
    late = _memory_mb(browser, page)
    browser.start_tracing(page=page, categories=["toplevel"])
    page.evaluate(PRESS, WARM_UP)
    wall_ms, cpu_ms = longest_task(browser.stop_tracing())
    context.close()
    return {
        f"memory_mb_{WARM_UP}": round(early),
        f"memory_mb_{WARM_UP + PICTURES}": round(late),
        "longest_task_ms": round(wall_ms, 1),
        "longest_task_cpu_ms": round(cpu_ms, 1),
        "picture_ms": round(1000 * seconds / PICTURES, 1),
    }


def longest_task(trace: bytes) -> tuple[float, float]:
    """The longest task of a page's own thread in a trace: in ms, and in ms of processor time."""
    events = json.loads(trace)["traceEvents"]
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e.get("name") == "thread_name"}
    tasks = [e for e in events if e.get("ph") == "X" and names.get((e["pid"], e["tid"])) == "CrRendererMain"]
    return max(e["dur"] for e in tasks) / 1000, max(e.get("tdur", 0) for e in tasks) / 1000


def _morph(browser: Browser, address: str) -> dict[str, float]:
    """The first pass of a morph by workers that are there already: pictures a second, processor time a picture."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{address}#pair")
    # Random weights stay float32: at 128x128 more than 12 MB, for which the page asks first.
    ask = page.locator("[data-live-load]")
    page.wait_for_timeout(1000)
    if ask.is_visible():
        ask.click()
    _wait(page, _marked("morph"))
    before = _cpu_s(browser)
    page.locator("[data-another]").click()
    _wait(page, "performance.getEntriesByName('metagan:morph').length > 1")
    cpu_s = _cpu_s(browser) - before
    steps, ms = page.evaluate(
        "(({ detail, duration }) => [detail, duration])(performance.getEntriesByName('metagan:morph')[1])"
    )
    workers = len(page.workers)
    context.close()
    return {"fps": 1000 * steps / ms, "cpu_ms": 1000 * cpu_s / steps, "workers": workers}


def measure() -> dict[str, object]:
    """Times, bytes and memory of live pages, with the shipped apes and with the networks of `live`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = {"ape": "bundled:apes"}
        for shape in NETWORKS[:2]:
            network, file = make_network(*shape), folder / f"{shape[0]}.safetensors"
            write_safetensors(file, network.state_dict(), describe(network))
            weights[f"net-{shape[0]}"] = file.name
        shipped = folder / "shipped"
        shipped.mkdir()
        site = _build(shipped, {"ape": "bundled:apes"}, 100)
        nets = _build(folder, weights, 2)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu"]
            )
            with _served(site) as url:
                visits = [_visit(browser, f"{url}ape/") for _ in range(VISITS)]
                result: dict[str, object] = {
                    key: round(statistics.median(visit[key] for visit in visits)) for key in visits[0]
                }
                result["first_visit_mb"] = round(_first_visit_bytes(browser, f"{url}ape/", site) / 1e6, 2)
                result |= _endurance(browser, f"{url}ape/")
            with _served(nets) as url:
                for size in (64, 128):
                    turns = [_morph(browser, f"{url}net-{size}/") for _ in range(3)]
                    result[f"morph_fps_{size}"] = round(max(turn["fps"] for turn in turns), 1)
                    result[f"morph_cpu_ms_{size}"] = round(min(turn["cpu_ms"] for turn in turns), 1)
                    result["morph_workers"] = turns[0]["workers"]
            browser.close()
    return result
