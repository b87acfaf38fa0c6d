"""The workers of a page: how many there are, and what the page keeps of what they find."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

# Workers that answer at once, but drawings when `finish` is called; `workers` are those that haven't ended. Four cores.
WORKERS = """() => {
  Object.defineProperty(navigator, "hardwareConcurrency", { value: 4 });
  Object.defineProperty(navigator, "deviceMemory", { value: 8 });
  globalThis.workers = [];
  globalThis.asked = [];
  globalThis.Worker = class extends EventTarget {
    drawings = [];
    constructor() {
      super();
      workers.push(this);
    }
    postMessage({ id, ask, ...rest }) {
      asked.push({ ask, ...rest });
      if (ask === "load") setTimeout(() => this.tell({ id, result: {} }));
      else this.drawings.push(() => this.tell({ id, result: {} }));
    }
    tell(data) {
      this.dispatchEvent(new MessageEvent("message", { data }));
    }
    finish() {
      for (const finish of this.drawings.splice(0)) finish();
    }
    terminate() {
      workers.splice(workers.indexOf(this), 1);
    }
  };
  globalThis.start = async (known) => {
    const { Pool } = await import("/static/live/pool.js");
    sessionStorage.clear();
    if (known) sessionStorage["metagan:backend:0"] = known;
    globalThis.pool = new Pool({ url: "/a", sha256: "0", size: 1, large: false, keptOnly: false });
    await pool.load();
  };
}"""


@pytest.fixture
def page(gpu_browser: Browser, live_folder: tuple[Path, str]) -> Iterator[Page]:
    """A page that may load the scripts, with workers that do nothing."""
    page = gpu_browser.new_page()
    page.goto(f"{live_folder[1]}/")
    page.evaluate(WORKERS)
    yield page
    page.close()


def counts(page: Page) -> list[int]:
    """How many workers there are, and how many of them are asked."""
    return page.evaluate("[workers.length, pool.size]")


def test_pages_of_many_pictures_have_several_workers(page):
    page.evaluate("start()")
    assert counts(page) == [1, 1]
    page.evaluate("pool.grow()")
    assert counts(page) == [3, 3]
    page.evaluate("pool.close()")
    assert counts(page) == [0, 0]


def test_where_the_gpu_is_known_to_draw_there_is_one_worker_until_it_fails(page):
    page.evaluate("start('webgpu')")
    page.evaluate("pool.grow()")
    assert counts(page) == [1, 1]
    page.evaluate("workers[0].tell({ backend: 'wasm', isSure: true })")
    page.wait_for_function("pool.size === 3")


def test_for_what_a_gpu_doesn_t_do_there_are_several(page):
    page.evaluate("start('webgpu')")
    page.evaluate("pool.grow({ forProcessor: true })")
    assert counts(page) == [3, 3]
    page.evaluate("workers[0].tell({ backend: 'webgpu', isSure: true })")
    assert counts(page) == [3, 3]


def test_when_the_gpu_takes_over_the_other_workers_end_their_pictures_and_go(page):
    page.evaluate("start().then(() => pool.grow())")
    page.evaluate("() => { globalThis.drawn = Promise.all([1, 2, 3].map((seed) => pool.draw({ seed }))); }")
    page.evaluate("workers[2].finish()")
    page.evaluate("workers[0].tell({ backend: 'webgpu-f16', isSure: true })")
    assert counts(page) == [2, 1], "one has a picture to end"
    page.evaluate("() => { for (const worker of [...workers]) worker.finish(); return drawn; }")
    assert counts(page) == [1, 1]


def test_what_may_differ_on_the_next_page_is_not_kept(page):
    page.evaluate("start('webgpu')")
    page.evaluate("workers[0].tell({ backend: 'wasm', isSure: false })")
    assert page.evaluate("sessionStorage['metagan:backend:0']") == "webgpu"
    page.evaluate("workers[0].tell({ backend: 'wasm', isSure: true })")
    assert page.evaluate("sessionStorage['metagan:backend:0']") == "wasm"


def test_answers_of_two_precisions_are_kept_together_for_the_visit(page):
    """Each precision begins with what the page knew when it was opened, and tells that and its own."""
    kept = {"another card f32 8x8 4 4": "direct"}
    page.evaluate("start()")
    page.evaluate("(kept) => { sessionStorage['metagan:forms'] = kept }", json.dumps(kept))
    found = [{f"card {precision} 8x8 4 4": "winograd"} for precision in ("f16", "f32")]
    for one in found:
        page.evaluate("(forms) => workers[0].tell({ forms })", kept | one)
    everything = kept | found[0] | found[1]
    assert json.loads(page.evaluate("sessionStorage['metagan:forms']")) == everything
    page.evaluate(
        "() => new (pool.constructor)({ url: '/a', sha256: '0', size: 1, large: false, keptOnly: false }).load()"
    )
    assert page.evaluate("asked.at(-1).forms") == everything, "the next page begins with both"
