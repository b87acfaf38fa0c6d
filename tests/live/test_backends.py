"""What draws a page's pictures: when WebGPU is taken instead of WebAssembly, and when it is given up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route

from tests.live.test_pictures import PLAIN, make
from tests.live.test_webgpu import OPEN, GpuPage
from tests.site.conftest import wait_until

pytestmark = pytest.mark.browser

# Which of the two draws: `told` is what was said of it. `meddle` may change the adapter, `drawer` the generator,
# `network` what draws on the GPU, whose shaders take seconds to compile in software.
CHOOSE = """async ({ url, wanted }) => {
  const { Backends } = await import("/static/live/backends.js");
  const { weights, generator } = await open(url);
  if (globalThis.network) {
    const { Network } = await import("/static/live/webgpu/network.js");
    const choose = async (forms) => globalThis.chosen?.(forms);
    Network.open = async (_device, _code, _weights, { precision }) => ({ choose, ...network(generator, precision) });
  }
  const request = GPU.prototype.requestAdapter;
  navigator.gpu.requestAdapter = async (...args) => {
    const adapter = await request.apply(navigator.gpu, args);
    const requestDevice = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (...more) => (globalThis.device = await requestDevice(...more));
    return globalThis.meddle?.(adapter) ?? adapter;
  };
  globalThis.told = [];
  globalThis.sure = [];
  const drawer = globalThis.drawer?.(generator) ?? generator;
  const tell = (name, isSure) => (told.push(name), sure.push(isSure));
  const backends = new Backends(drawer, weights, { wanted, tell });
  globalThis.backends = backends;
  const styles = generator.spread(generator.styleOfSeed(5), 0.7);
  const want = generator.synthesize(styles);
  const isNear = (value, i) => Math.abs(value - want[i]) <= 1;
  globalThis.isDrawn = async () => (await backends.synthesize(styles)).every(isNear);
}"""
REAL = "adapter => Object.defineProperty(adapter, 'info', { value: { isFallbackAdapter: false } })"
SLOW = """(generator) => ({
  synthesize(ws) {
    for (const end = performance.now() + 700; performance.now() < end; );
    return generator.synthesize(ws);
  },
})"""


@pytest.fixture
def choosing(gpu_browser: Browser, live_folder: tuple[Path, str]) -> Iterator[GpuPage]:
    """A page on which `choose` is called once."""
    folder, address = live_folder
    page = gpu_browser.new_page()
    page.goto(f"{address}/")
    page.evaluate(OPEN)
    yield GpuPage(page, folder)
    page.close()


def choose(choosing: GpuPage, wanted: str | None = None, **changes: str) -> list[str]:
    """Draw the first picture; the answer is what was said to draw the next, and the requests for shaders."""
    page = choosing.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for name, script in changes.items():
        page.evaluate(f"() => {{ globalThis.{name} = {script} }}")
    page.evaluate(CHOOSE, {"url": choosing.write(make(PLAIN)), "wanted": wanted})
    assert page.evaluate("isDrawn()")
    wait_until(page, "told.length > 0")
    assert page.evaluate("isDrawn()")
    return page.evaluate("told") + [url for url in asked if "/webgpu/" in url]


def test_a_program_that_stands_in_for_a_gpu_is_not_used_and_no_shader_is_loaded(choosing):
    assert choose(choosing) == ["wasm"]


def test_webassembly_is_not_given_up_where_it_is_wanted(choosing):
    assert choose(choosing, "wasm") == ["wasm"]


def test_a_gpu_that_is_slower_is_not_used(choosing):
    slow = """(generator) => ({
      synthesize: (ws) => new Promise((resolve) => setTimeout(() => resolve(generator.synthesize(ws)), 300)),
    })"""
    assert choose(choosing, meddle=REAL, network=slow)[0] == "wasm"


def test_a_gpu_that_is_faster_draws_until_it_is_lost(choosing):
    page = choosing.page
    assert choose(choosing, meddle=REAL, drawer=SLOW)[0] == "webgpu"
    assert page.evaluate("async () => { const one = isDrawn(); device.destroy(); return one; }")
    wait_until(page, "told.length > 1")
    assert page.evaluate("isDrawn()")
    assert page.evaluate("told") == ["webgpu", "wasm"]


# An adapter that has half precision, as far as it says; `off` is what its pictures do to a value.
HALF = """(adapter) => {
  const request = adapter.requestDevice;
  adapter.requestDevice = ({ requiredLimits }) => request({ requiredLimits });
  Object.defineProperty(adapter, "info", { value: { isFallbackAdapter: false } });
  return Object.defineProperty(adapter, "features", { value: new Set(["shader-f16"]) });
}"""
DRAWN = """(generator, precision) => ({
  async synthesize(ws) {
    await new Promise((resolve) => setTimeout(resolve, precision === "f32" ? SLOWER : 0));
    const off = OFF;
    return generator.synthesize(ws).map((value, i) => (precision === "f16" ? off(value, i) : value));
  },
})"""
A_LITTLE = "(value, i) => (i % 9 ? value : value + 1)"
CHOICES = {
    "f16 as it is faster": (300, A_LITTLE, "webgpu-f16"),
    "f32 as a value is far off": (300, "(value, i) => (i === 5 ? (value + 128) % 256 : value)", "webgpu"),
    "f32 as all are": (300, "(value) => (value > 127 ? value - 2 : value + 2)", "webgpu"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_half_precision_draws_where_it_is_faster_and_near_enough(choosing, name):
    slower_ms, off, chosen = CHOICES[name]
    network = DRAWN.replace("SLOWER", str(slower_ms)).replace("OFF", off)
    assert choose(choosing, meddle=HALF, drawer=SLOW, network=network)[0] == chosen


def test_half_precision_that_an_adapter_doesn_t_have_is_not_used(choosing):
    same = "(generator) => ({ synthesize: async (ws) => generator.synthesize(ws) })"
    assert choose(choosing, "webgpu-f16", meddle=REAL, network=same)[0] == "wasm"


FAILURES = {
    "blocked": "() => Promise.reject(new Error('blocked'))",
    "no device": "adapter => Object.assign(adapter, { requestDevice: () => Promise.reject(new Error('none')) })",
    "lost at once": """adapter => {
      const request = adapter.requestDevice;
      adapter.requestDevice = async (...args) => {
        const device = await request(...args);
        device.destroy();
        return device;
      };
    }""",
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_gpu_that_fails_leaves_the_pictures_to_webassembly(choosing, name):
    assert choose(choosing, "webgpu", meddle=FAILURES[name])[0] == "wasm"


def test_a_gpu_that_draws_another_picture_is_not_used(choosing):
    other = """(generator) => ({
      synthesize: async (ws) => generator.synthesize(ws).map((value, i) => (i === 5 ? value ^ 2 : value)),
    })"""
    assert choose(choosing, "webgpu", network=other)[0] == "wasm"


def test_a_gpu_without_enough_memory_is_not_used(choosing):
    full = """() => {
      GPUDevice.prototype.popErrorScope = async () => new GPUOutOfMemoryError("no memory is left");
    }"""
    same = "(generator) => ({ synthesize: async (ws) => generator.synthesize(ws) })"
    assert choose(choosing, "webgpu", meddle=full, network=same)[0] == "wasm"


def test_shaders_that_are_refused_leave_the_pictures_to_webassembly(choosing):
    def change(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("fn colour(", "fn color("))

    choosing.page.route("**/kernel.wgsl", change)
    assert choose(choosing, "webgpu")[0] == "wasm"


SAME = "(generator) => ({ synthesize: async (ws) => generator.synthesize(ws) })"


def test_without_a_network_for_the_shaders_the_next_page_asks_again(choosing):
    choosing.page.route("**/kernel.wgsl", lambda route: route.abort())
    assert choose(choosing, "webgpu", network=SAME)[0] == "wasm"
    assert choosing.page.evaluate("sure") == [False]


def test_an_error_of_the_device_gives_it_up(choosing):
    page = choosing.page
    assert choose(choosing, "webgpu", network=SAME)[0] == "webgpu"
    page.evaluate(
        """() => {
          const error = new GPUInternalError("something");
          device.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error }));
        }"""
    )
    assert page.evaluate("isDrawn()")
    assert page.evaluate("told") == ["webgpu", "wasm"]


def test_forms_are_not_measured_on_a_gpu_that_is_much_slower(choosing):
    page = choosing.page
    page.evaluate("globalThis.measured = 0")
    much_slower = SLOW.replace("performance.now() + 700", "performance.now() + 20")
    waiting = DRAWN.replace("SLOWER", "1500").replace("OFF", "(value) => value")
    measure = "() => { measured++ }"
    assert choose(choosing, meddle=REAL, drawer=much_slower, network=waiting, chosen=measure)[0] == "wasm"
    assert page.evaluate("measured") == 0


@pytest.mark.parametrize(("every", "drawer"), [(111, "webgpu"), (83, "wasm")])
def test_one_in_a_hundred_of_the_colours_may_be_off(choosing, every, drawer):
    """What is always 255 doesn't count."""
    off = (
        f"(value, i) => (i % 4 < 3 && (Math.floor(i / 4) * 3 + (i % 4)) % {every} === 0 ? value ^ 1 : value)"
    )
    network = f"(generator) => ({{ synthesize: async (ws) => generator.synthesize(ws).map({off}) }})"
    assert choose(choosing, "webgpu", network=network)[0] == drawer


def test_float32_draws_where_half_precision_is_lost_while_it_is_timed(choosing):
    page = choosing.page
    lost = """(generator, precision) => ({
      async synthesize(ws) {
        if (precision === "f16") globalThis.half = device;
        else if (globalThis.half) {
          half.destroy();
          await half.lost;
        }
        await new Promise((resolve) => setTimeout(resolve, precision === "f32" ? 200 : 0));
        return generator.synthesize(ws);
      },
    })"""
    choose(choosing, meddle=HALF, drawer=SLOW, network=lost)
    wait_until(page, "told.length > 1")
    assert page.evaluate("told") == ["wasm", "webgpu"]
    assert page.evaluate("isDrawn()")


def test_what_is_asked_for_while_the_gpu_is_timed_waits_and_doesn_t_make_it_look_slow(choosing):
    """As the worker does it: pictures of 300 ms are asked for all the time, the GPU takes 100."""
    page = choosing.page
    page.evaluate(
        """() => {
          globalThis.ask = async () => {
            for (globalThis.drawn = 0; told.length === 0; drawn++) {
              while (backends.timing) await backends.timing;
              await isDrawn();
              await new Promise((resolve) => setTimeout(resolve));
            }
          };
        }"""
    )
    slow = SLOW.replace("performance.now() + 700", "performance.now() + 300")
    gpu = DRAWN.replace("SLOWER", "100").replace("OFF", "(value) => value")
    asking = "async () => { globalThis.asking ??= ask(); }"  # begins when forms would be measured
    assert choose(choosing, meddle=REAL, drawer=slow, network=gpu, chosen=asking)[0] == "webgpu"
    assert page.evaluate("drawn") >= 2, "pictures came meanwhile"
