"""Which form of a convolution a page takes on a GPU: what is timed, for how long, and what is kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(gpu_browser: Browser, live_folder: tuple[Path, str]) -> Iterator[Page]:
    """A page that may load the scripts."""
    page = gpu_browser.new_page()
    page.goto(f"{live_folder[1]}/")
    yield page
    page.close()


# What `Forms` asks of a device: how long a step takes so many times, and how often it was asked.
MEASURE = """async ([times, known]) => {
  const { Forms } = await import("/static/live/webgpu/forms.js");
  const asked = [], told = [];
  const gpu = { time: async (step, runs) => (asked.push(step), runs * times[step]), safely: (run) => run() };
  const forms = new Forms({ adapter: "card", known, tell: (known) => told.push({ ...known }) });
  const steps = async () => ({ direct: "direct", winograd: "winograd" });
  const chosen = [];
  for (const shape of ["16x16 8 8", "16x16 8 8", "32x32 8 8"]) chosen.push(await forms.choose(gpu, shape, steps));
  return { asked: asked.length > 0, told, chosen };
}"""


@pytest.mark.parametrize(("direct", "winograd", "best"), [(0.3, 0.2, "winograd"), (0.002, 0.003, "direct")])
def test_the_faster_form_is_measured_once_for_each_shape(page, direct, winograd, best):
    got = page.evaluate(MEASURE, [{"direct": direct, "winograd": winograd}, {}])
    assert got["chosen"] == [best] * 3
    assert got["told"] == [{"card 16x16 8 8": best}, {"card 16x16 8 8": best, "card 32x32 8 8": best}]


def test_what_is_known_of_this_adapter_is_not_measured_again(page):
    times = {"direct": 1, "winograd": 2}
    known = {"card 16x16 8 8": "winograd", "card 32x32 8 8": "direct"}
    got = page.evaluate(MEASURE, [times, known])
    assert (got["asked"], got["told"], got["chosen"]) == (False, [], ["winograd", "winograd", "direct"])
    elsewhere = {"another card 16x16 8 8": "winograd", "card 32x32 8 8": "a form of another version"}
    got = page.evaluate(MEASURE, [times, elsewhere])
    assert got["chosen"] == ["direct"] * 3


def test_a_slow_gpu_measures_for_seconds_and_the_next_page_goes_on(page):
    got = page.evaluate(
        """async () => {
          const { Forms } = await import("/static/live/webgpu/forms.js");
          const real = performance.now;
          let clock = 0;
          performance.now = () => clock;
          const shapes = Array.from({ length: 12 }, (_, i) => `shape ${i}`);
          const steps = async () => ({ direct: 900, winograd: 400 });
          const gpu = { time: async (ms, runs) => ((clock += runs * ms), runs * ms), safely: (run) => run() };
          const visit = async (known) => {
            const budget = { ms: 10_000 };
            const forms = new Forms({ adapter: "card", known, tell: (more) => (known = { ...more }), budget });
            const chosen = [];
            for (const shape of shapes) chosen.push(await forms.choose(gpu, shape, steps));
            return { known, winograd: chosen.filter((name) => name === "winograd").length };
          };
          try {
            const first = await visit({}), took = clock, second = await visit(first.known);
            const pages = [first.winograd, second.winograd];
            return { took, kept: Object.keys(first.known).length, pages };
          } finally {
            performance.now = real;
          }
        }"""
    )
    assert got["took"] < 10_000 + 4 * 900  # the last shape may take longer
    assert 0 < got["kept"] == got["pages"][0] < got["pages"][1] <= 12


@pytest.mark.parametrize("feature", [[], ["timestamp-query"]], ids=["by waiting", "by timestamps"])
def test_steps_are_timed_with_and_without_the_gpu_s_clock(page, feature):
    times = page.evaluate(
        """async (requiredFeatures) => {
          const { Gpu } = await import("/static/live/webgpu/gpu.js");
          const device = await (await navigator.gpu.requestAdapter()).requestDevice({ requiredFeatures });
          const sum = "for (var i = 0u; i < 100000u; i++) { total = total * 3u + i; }";
          const code = `@group(0) @binding(0) var<storage, read_write> total: u32;
            @compute @workgroup_size(1) fn count() { ${sum} }`;
          const gpu = new Gpu(device, device.createShaderModule({ code }));
          await gpu.compile(["count"]);
          const step = gpu.step("count", { 0: gpu.buffer(4) }, [1, 1, 1]);
          const timed = async (runs) => {
            const times = [];
            for (let i = 0; i < 5; i++) times.push(await gpu.time(step, runs));
            return Math.min(...times); // whatever else runs makes some of them longer
          };
          const times = [await timed(1), await timed(20)];
          device.destroy();
          return times;
        }""",
        feature,
    )
    assert 0 < times[0] < times[1]


# A device whose clock tells these ticks; whatever it is given to do takes 5 ms.
CLOCK = """async (ticks) => {
  const { Gpu } = await import("/static/live/webgpu/gpu.js");
  const nothing = () => {};
  const read = () => BigUint64Array.from(ticks, BigInt).buffer;
  const buffer = { destroy: nothing, mapAsync: async () => {}, getMappedRange: read };
  const pass = { setPipeline: nothing, setBindGroup: nothing, dispatchWorkgroups: nothing, end: nothing };
  const gpu = new Gpu({
    features: new Set(["timestamp-query"]),
    createQuerySet: () => ({ destroy: nothing }),
    createBuffer: () => buffer,
    createCommandEncoder: () => ({
      beginComputePass: () => pass, resolveQuerySet: nothing, copyBufferToBuffer: nothing, finish: nothing,
    }),
    queue: { submit: nothing, onSubmittedWorkDone: () => new Promise((resolve) => setTimeout(resolve, 5)) },
  });
  return gpu.time({ groups: [1, 1, 1] }, 3);
}"""


def test_a_time_below_a_tick_is_none_and_a_clock_that_doesn_t_run_is_not_read(page):
    assert page.evaluate(CLOCK, [5_000_000, 7_000_000]) == 2
    assert page.evaluate(CLOCK, [1_000_000, 1_000_000]) == 0
    assert page.evaluate(CLOCK, [0, 0]) >= 4
    assert page.evaluate(CLOCK, [7_000_000, 5_000_000]) >= 4


def test_a_form_that_there_is_no_memory_for_is_not_taken_and_nothing_is_kept(page):
    assert page.evaluate(
        """async () => {
          const { Forms } = await import("/static/live/webgpu/forms.js");
          const told = [];
          const forms = new Forms({ adapter: "card", tell: (known) => told.push(known) });
          const failed = async (run) => (await run(), Promise.reject(new Error("out of memory")));
          const gpu = { time: async () => 0, safely: failed };
          const form = await forms.choose(gpu, "16x16 8 8", async () => ({ direct: 1, winograd: 2 }));
          return { form, told };
        }"""
    ) == {"form": "direct", "told": []}
