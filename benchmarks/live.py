"""Pictures made in a real Chromium beside PyTorch and onnxruntime-web: one thread, the same networks, one machine.

All three take turns, and every turn gives a ratio of medians: other programs come and go, and slow down all of a turn.
Processor time (cpu) tells what a picture took without waiting for others.
The worker's answer is timed, as the page gets it; onnxruntime-web's without turning floats into bytes.
"""

import http.server
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from benchmarks import onnxruntime_web
from metagan.checkpoints.read import read_checkpoint
from metagan.export.blob import WebPrecision, compress, pack
from metagan.export.fold import fold
from metagan.live import NAMES, kernel_files
from metagan.networks.generator import Generator
from metagan.networks.loading.detect import load_generator
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from metagan.registry.weights_ref import bundled_names, bundled_weights
from metagan.sampling.sampler import Sampler, Settings
from scripts.browser import CHROMIUM
from tests.live.page import write_page

# Resolution, channel base and most channels: of the size that a site would ship, and 256x256 beyond it.
NETWORKS = ((64, 4096, 128), (128, 8192, 256), (256, 16384, 512))
TURNS, SECONDS_A_TURN, PSI = 13, 0.2, 0.7
PICTURES = 500  # after which memory is looked at, twice
Draws = dict[str, Callable[[int, int], list[float]]]
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
DRAW = """async ([first, count]) => {
  const times = [];
  for (let seed = first; seed < first + count; seed++) {
    const begin = performance.now();
    await live.draw({ seed, psi: 0.7 });
    times.push(performance.now() - begin);
  }
  return times;
}"""
KERNEL = """async () => {
  const { Kernel, loadKernel } = await import("/static/live/kernel.js");
  const times = [];
  for (let i = 0; i < 9; i++) {
    const begin = performance.now();
    await Kernel.start(await loadKernel(new URL("/static/live/", location), `?${i}`));
    times.push(performance.now() - begin);
  }
  return times;
}"""
MEMORY = """async (url) => {
  const { Generator } = await import("/static/live/generator.js");
  const { Kernel, loadKernel } = await import("/static/live/kernel.js");
  const { loadWeights } = await import("/static/live/weights.js");
  const kernel = await Kernel.start(await loadKernel(new URL("/static/live/", location)));
  const generator = new Generator(kernel, await loadWeights(url));
  for (let seed = 0; seed < 5; seed++) generator.synthesize(generator.spread(generator.styleOfSeed(seed), 0.7));
  return kernel.run.memory.buffer.byteLength;
}"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def browser_page(folder: Path, *flags: str) -> Iterator[Page]:
    """A page of that folder in a real Chromium."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu", *flags]
        )
        page = browser.new_context(base_url=f"http://127.0.0.1:{server.server_port}").new_page()
        page.goto("/")
        yield page
        browser.close()
    server.shutdown()
    server.server_close()


@contextmanager
def _other_page(context: BrowserContext, address: str) -> Iterator[Page]:
    page = context.new_page()
    page.goto(address)
    yield page
    page.close()


def make_network(resolution: int, base: int, most: int) -> StyleGAN2:
    """A StyleGAN2 of random weights with the usual mapping network, 8 layers of 512."""
    torch.manual_seed(0)
    channels = tuple(min(base // (4 * 2**index), most) for index in range(resolution.bit_length() - 2))
    return StyleGAN2(Config(MappingConfig(512, 0, 0, (512,) * 8), channels)).eval()


def _draw_in_torch(sampler: Sampler, first: int, count: int) -> list[float]:
    """Milliseconds of each picture, as `metagan sample --batch 1` draws it."""
    times = []
    for seed in range(first, first + count):
        begin = time.perf_counter()
        list(sampler.pictures([seed], Settings(psi=PSI)))
        times.append(1e3 * (time.perf_counter() - begin))
    return times


def _draw_live(page: Page, first: int, count: int) -> list[float]:
    times: list[float] = page.evaluate(DRAW, [first, count])
    return times


def _write_weights(folder: Path, name: str, generator: Generator, precision: WebPrecision = "fp16") -> int:
    """The generator for the page; the answer is its download in bytes."""
    content = compress(pack(*fold(generator), precision))
    (folder / f"{name}.bin.gz").write_bytes(content)
    return len(content)


def _measure_network(page: Page, folder: Path, network: StyleGAN2, *, beside_onnx: bool) -> dict[str, object]:
    name = str(network.resolution)
    size = _write_weights(folder, name, network)
    facts: dict[str, object] = {"download_mb": round(size / 1e6, 2)}
    with _other_page(page.context, "/") as other:
        facts["memory_mb"] = round(other.evaluate(MEMORY, f"{name}.bin.gz") / 1e6, 1)
    ready_ms, first_ms = page.evaluate(LOAD, f"{name}.bin.gz")
    facts |= {"ready_ms": round(ready_ms), "first_picture_ms": round(first_ms)}
    sampler = Sampler(network, torch.device("cpu"), batch=1)
    draw: Draws = {"live": partial(_draw_live, page), "torch": partial(_draw_in_torch, sampler)}
    if not beside_onnx:
        return facts | _take_turns(page, draw)
    onnxruntime_web.write_models(folder, name, network)
    with _other_page(page.context, "/ort.html") as other:
        ready_ms, first_ms = onnxruntime_web.load(other, name, network.z_dim, PSI)
        facts |= {"onnx_ready_ms": round(ready_ms), "onnx_first_picture_ms": round(first_ms)}
        return facts | _take_turns(page, draw | {"onnx": partial(onnxruntime_web.draw, other)})


def _take_turns(page: Page, draw: Draws) -> dict[str, object]:
    """Every program's median milliseconds a picture, and how the first compares to the others, turn by turn."""
    once = {name: statistics.median(run(0, 3)[1:]) for name, run in draw.items()}
    counts = {name: max(1, round(1e3 * SECONDS_A_TURN / once[name])) for name in draw}
    turns = [
        {name: _take_turn(page, partial(run, 100 * turn, counts[name])) for name, run in draw.items()}
        for turn in range(TURNS)
    ]
    facts: dict[str, object] = {}
    for name in draw:
        facts[f"{name}_ms"] = round(statistics.median(time for turn in turns for time in turn[name][0]), 1)
        facts[f"{name}_best_ms"] = round(min(time for turn in turns for time in turn[name][0]), 1)
        facts[f"{name}_cpu_ms"] = round(statistics.median(turn[name][1] for turn in turns), 1)
    for name in list(draw)[1:]:
        ratios = sorted(
            statistics.median(turn["live"][0]) / statistics.median(turn[name][0]) for turn in turns
        )
        cpu_ratio = statistics.median(turn["live"][1] / turn[name][1] for turn in turns)
        facts[f"{name}_ratio"] = round(statistics.median(ratios), 2)
        facts[f"{name}_ratios"] = [round(ratio, 2) for ratio in ratios]
        facts[f"{name}_cpu_ratio"] = round(cpu_ratio, 2)
    return facts


def _take_turn(page: Page, draw: Callable[[], list[float]]) -> tuple[list[float], float]:
    """Milliseconds of each picture, and processor milliseconds a picture on average."""
    before = time.process_time() + _renderers_cpu_s(page.context.browser)
    times = draw()
    after = time.process_time() + _renderers_cpu_s(page.context.browser)
    return times, 1e3 * (after - before) / len(times)


def _measure_shipped(page: Page, folder: Path) -> dict[str, object]:
    """Milliseconds a picture of every generator that metagan carries."""
    shipped: dict[str, object] = {}
    for name in bundled_names():
        generator = load_generator(read_checkpoint(bundled_weights(name)))
        size = _write_weights(folder, name, generator)
        page.evaluate(LOAD, f"{name}.bin.gz")
        times = _draw_live(page, 0, 60)
        shipped[name] = {
            "resolution": generator.resolution,
            "download_mb": round(size / 1e6, 2),
            "live_ms": round(statistics.median(times), 1),
            "live_best_ms": round(min(times), 1),
        }
    return shipped


def _measure_growth(page: Page) -> dict[str, object]:
    """Megabytes that pages take in all: after 500 pictures of the 64x64 network, and after 500 more.

    The first ones let the engine's heap come to its size, which it takes for what it collects later.
    """
    page.evaluate(LOAD, "64.bin.gz")
    _draw_live(page, 0, PICTURES)
    before = _resident_mb(page.context.browser)
    _draw_live(page, PICTURES, PICTURES)
    after = _resident_mb(page.context.browser)
    return {"pictures": PICTURES, "before_mb": round(before, 1), "after_mb": round(after, 1)}


def _resident_mb(browser: Browser | None) -> float:
    """Of all processes of the browser that hold pages."""
    pages = [process["id"] for process in _renderers(browser)]
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6 for pid in pages)


def _renderers_cpu_s(browser: Browser | None) -> float:
    """Processor seconds that pages and their workers have taken so far."""
    return sum(process["cpuTime"] for process in _renderers(browser))


def _renderers(browser: Browser | None) -> list[dict[str, Any]]:
    if browser is None:
        raise AssertionError("a launched browser")
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return [process for process in processes if process["type"] == "renderer"]


def _kernel_facts(page: Page) -> dict[str, object]:
    """The compiled kernel: bytes as they are and gzipped, and milliseconds to fetch, compile and start it."""
    files = {name: kernel_files()[name].read_bytes() for name in NAMES}
    return {
        "kb": {name: round(len(content) / 1e3, 1) for name, content in files.items()},
        "gzipped_kb": {name: round(len(compress(content)) / 1e3, 1) for name, content in files.items()},
        "start_ms": round(statistics.median(page.evaluate(KERNEL)), 1),
    }


def _on_one_thread(work: Callable[[], dict[str, object]]) -> dict[str, object]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return work()
    finally:
        torch.set_num_threads(threads)


def _measure_all(page: Page, folder: Path) -> dict[str, object]:
    beside_onnx = onnxruntime_web.fetch(folder)
    kernel = _kernel_facts(page)
    sizes = {
        str(shape[0]): _measure_network(page, folder, make_network(*shape), beside_onnx=beside_onnx)
        for shape in NETWORKS
    }
    shipped = _measure_shipped(page, folder)
    versions = {
        "chromium": page.context.browser.version if page.context.browser else "",
        "torch": torch.__version__,
    }
    versions |= {"onnxruntime-web": onnxruntime_web.VERSION} if beside_onnx else {}
    return {
        "versions": versions,
        "kernel": kernel,
        "sizes": sizes,
        "shipped": shipped,
        "growth": _measure_growth(page),
    }


def measure() -> dict[str, object]:
    """Latency of a picture live, in PyTorch and in onnxruntime-web; how long the first takes; and memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_page(folder)
        with browser_page(folder) as page:
            return _on_one_thread(lambda: _measure_all(page, folder))
