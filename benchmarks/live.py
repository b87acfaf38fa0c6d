"""Pictures made in a real Chromium against PyTorch on one thread, the same network and the same machine.

Turns alternate and the fastest of each counts, because other programs slow down both. On a busy machine even the
fastest picture may have waited for its turn; the ratio of processor time tells what it took without the waiting.
"""

import http.server
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from playwright.sync_api import Browser, Page, sync_playwright

from metagan.export.blob import compress, pack
from metagan.export.fold import fold
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from metagan.sampling.latents import latents
from tests.live.page import write_page

# Resolution, channel base and most channels: of the size that a site would ship, and 256x256 beyond it.
NETWORKS = ((64, 4096, 128), (128, 8192, 256), (256, 16384, 512))
TURNS, SECONDS_A_TURN = 5, 0.4
LOAD = """async (url) => {
  const { Live } = await import("/static/live/client.js");
  globalThis.live?.close();
  globalThis.live = new Live();
  const begin = performance.now();
  await live.load({ url });
  const ready = performance.now();
  await live.draw({ seed: 0, psi: 0.7 });
  return [ready - begin, performance.now() - begin];
}"""
DRAW = """async (times) => {
  let best = Infinity;
  for (let seed = 0; seed < times; seed++) {
    const begin = performance.now();
    await live.draw({ seed, psi: 0.7 });
    best = Math.min(best, performance.now() - begin);
  }
  return best;
}"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def _browser(folder: Path) -> Iterator[Page]:
    """A page of that folder in a real Chromium."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        yield page
        browser.close()
    server.shutdown()
    server.server_close()


def make_network(resolution: int, base: int, most: int) -> StyleGAN2:
    """A StyleGAN2 of random weights with the usual mapping network, 8 layers of 512."""
    torch.manual_seed(0)
    channels = tuple(min(base // (4 * 2**index), most) for index in range(resolution.bit_length() - 2))
    return StyleGAN2(Config(MappingConfig(512, 0, 0, (512,) * 8), channels)).eval()


def _draw_in_torch(network: StyleGAN2, seed: int) -> float:
    """Milliseconds that a picture takes."""
    begin = time.perf_counter()
    with torch.inference_mode():
        network.synthesize(network.map_latents(latents([seed], network.z_dim), psi=0.7))
    return 1e3 * (time.perf_counter() - begin)


def _renderers_cpu_s(browser: Browser) -> float:
    """Processor seconds that the browser's pages and workers have taken so far."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return sum(process["cpuTime"] for process in processes if process["type"] == "renderer")


def _measure_network(page: Page, folder: Path, network: StyleGAN2) -> dict[str, float]:
    content = compress(pack(*fold(network), "fp16"))
    name = f"{network.resolution}.bin.gz"
    (folder / name).write_bytes(content)
    ready_ms, first_ms = page.evaluate(LOAD, name)
    _draw_in_torch(network, 0)
    times = max(1, round(1e3 * SECONDS_A_TURN / _draw_in_torch(network, 0)))
    turns = [_measure_turn(page, network, times) for _ in range(TURNS)]
    torch_ms, torch_cpu_ms, live_ms, live_cpu_ms = (min(column) for column in zip(*turns, strict=True))
    return {
        "download_mb": round(len(content) / 1e6, 2),
        "ready_ms": round(ready_ms),
        "first_picture_ms": round(first_ms),
        "live_ms": round(live_ms, 1),
        "torch_ms": round(torch_ms, 1),
        "ratio": round(live_ms / torch_ms, 2),
        "live_cpu_ms": round(live_cpu_ms, 1),
        "torch_cpu_ms": round(torch_cpu_ms, 1),
        "cpu_ratio": round(live_cpu_ms / torch_cpu_ms, 2),
    }


def _measure_turn(page: Page, network: StyleGAN2, times: int) -> tuple[float, float, float, float]:
    """Milliseconds a picture in PyTorch and live: the fastest picture's, and processor time on average."""
    browser = page.context.browser
    if browser is None:
        raise AssertionError("a launched browser")
    torch_cpu_s = time.process_time()
    torch_ms = min(_draw_in_torch(network, seed) for seed in range(times))
    torch_cpu_s = time.process_time() - torch_cpu_s
    live_cpu_s = _renderers_cpu_s(browser)
    live_ms = page.evaluate(DRAW, times)
    live_cpu_s = _renderers_cpu_s(browser) - live_cpu_s
    return torch_ms, 1e3 * torch_cpu_s / times, live_ms, 1e3 * live_cpu_s / times


def _on_one_thread(work: Callable[[], dict[str, object]]) -> dict[str, object]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return work()
    finally:
        torch.set_num_threads(threads)


def measure() -> dict[str, object]:
    """Latency of a picture live and in PyTorch, by resolution; and how long the first one takes."""

    def all_networks() -> dict[str, object]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_page(folder)
            with _browser(folder) as page:
                return {
                    str(shape[0]): _measure_network(page, folder, make_network(*shape)) for shape in NETWORKS
                }

    return _on_one_thread(all_networks)
