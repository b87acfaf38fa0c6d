"""The page `yours/` with the generator's own pictures: seconds of a search, and how near it comes.

Every bundled generator with an encoder is looked at in Chromium, on a site as `metagan build` makes it.
"""

import itertools
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

import metagan
from benchmarks.live_site import HEAD, SUBJECT, _memory_mb, _served, _wait, longest_task
from benchmarks.site import Silent
from metagan.registry.read import read_registry
from metagan.registry.weights_ref import bundled_companions, bundled_names
from metagan.site.build.build import BuildOptions, build_site
from scripts.browser import CHROMIUM

PSIS = (0.7, 1.0)
SEEDS = (101, 102, 103, 104)
READY = "document.querySelector('[data-yours]').dataset.ready === ''"
FOUND = "document.querySelector('[data-yours]').dataset.shown"
FORGET = "delete document.querySelector('[data-yours]').dataset.shown"
SEARCHED = "document.querySelector('[data-letters]').innerText.match(/in ([0-9.]+) s/)[1]"
PSNR = "document.querySelector('[data-verdict]').innerText.match(/PSNR ([0-9.]+) dB/)[1]"


def _find(page: Page, picture: Path) -> tuple[float, float]:
    """Choose a picture; the answer is the search's seconds as the page tells them, and its PSNR."""
    page.evaluate(f"() => {{ {FORGET} }}")
    page.set_input_files("input[type=file]", picture)
    _wait(page, FOUND)
    return float(page.evaluate(SEARCHED)), float(page.evaluate(PSNR))


def _measure(browser: Browser, address: str, pictures: list[Path]) -> dict[str, object]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(address)
    _wait(page, READY)
    found = [_find(page, picture) for picture in pictures]
    early = _memory_mb(browser, page)
    browser.start_tracing(page=page, categories=["toplevel"])
    for picture in pictures:
        _find(page, picture)
    longest_ms, _ = longest_task(browser.stop_tracing())
    late = _memory_mb(browser, page)
    context.close()
    half = len(SEEDS)
    return {
        "seconds": round(statistics.median(seconds for seconds, _ in found), 1),
        "longest_s": max(seconds for seconds, _ in found),
        "psnr_db_07": [psnr for _, psnr in found[:half]],
        "psnr_db_1": [psnr for _, psnr in found[half:]],
        "longest_task_ms": round(longest_ms, 1),
        "memory_mb": [round(early), round(late)],
    }


def measure() -> dict[str, object]:
    """Seconds, PSNR, the page's longest task and its memory, for each bundled generator with an encoder."""
    companions = bundled_companions()
    names = [name for name in bundled_names() if f"{name}-encoder" in companions]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        subjects = (
            SUBJECT.format(slug=name, weights=f"bundled:{name}", images=1)
            + f"    encoder: bundled:{name}-encoder\n"
            for name in names
        )
        (folder / "registry.yaml").write_text(HEAD + "".join(subjects))
        build_site(
            BuildOptions(read_registry(folder / "registry.yaml"), folder / "site", device="cpu"), Silent()
        )
        pictures: dict[str, list[Path]] = {}
        for name in names:
            generator = metagan.load(f"bundled:{name}")
            pictures[name] = [
                folder / f"{name}-{psi}-{seed}.png" for psi, seed in itertools.product(PSIS, SEEDS)
            ]
            drawn = (picture for psi in PSIS for picture in generator.sample(SEEDS, psi=psi))
            for file, picture in zip(pictures[name], drawn, strict=True):
                picture.save(file)
        with sync_playwright() as playwright, _served(folder / "site") as url:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu"]
            )
            measured = {name: _measure(browser, f"{url}{name}/yours/", pictures[name]) for name in names}
            browser.close()
    return measured
