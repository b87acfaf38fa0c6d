"""WebGPU, computed by a program: pictures against the sampler's, and when it draws instead of WebAssembly."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, Route

from metagan.checkpoints.read import read_checkpoint
from metagan.export.blob import WebPrecision, pack
from metagan.export.fold import fold, fold_upscaler
from metagan.networks.generator import Generator
from metagan.networks.loading.detect import load_generator
from metagan.networks.upscaler import Upscaler
from metagan.registry.weights_ref import bundled_weights
from metagan.sampling.sampler import Sampler, Settings
from tests.live.page import READER, LivePage
from tests.live.test_pictures import ODD, PLAIN, drawn, likeness, make
from tests.live.test_upscaled import SHAPES, calm
from tests.site.conftest import wait_until

pytestmark = pytest.mark.browser

OPEN = """async () => {
  const { Generator } = await import("/static/live/generator.js");
  const { Kernel, loadKernel } = await import("/static/live/kernel.js");
  const { loadWeights } = await import("/static/live/weights.js");
  const kernel = await loadKernel(new URL("/static/live/", location));
  globalThis.open = async (url) => {
    const weights = await loadWeights(url);
    return { weights, generator: new Generator(await Kernel.start(kernel), weights) };
  };
}"""
COMPILE = """async () => {
  const { Gpu } = await import("/static/live/webgpu/gpu.js");
  const device = await (await navigator.gpu.requestAdapter()).requestDevice();
  globalThis.complaints = [];
  device.addEventListener("uncapturederror", ({ error }) => complaints.push(error.message));
  const code = await (await fetch("/static/live/webgpu/kernel.wgsl")).text();
  globalThis.gpu = await Gpu.open(device, code);
}"""
# WebAssembly makes a generator's styles, WebGPU the pictures, for which `tests.live.page.DRAW` asks.
LOAD = """async (url) => {
  const { Network } = await import("/static/live/webgpu/network.js");
  const { weights, generator } = await open(url);
  globalThis.network = await Network.load(gpu, weights);
  globalThis.ws = ({ seed, psi, label, cutoff }) => generator.spread(generator.styleOfSeed(seed, label), psi, cutoff);
  globalThis.live = { draw: async (wish) => ({ pixels: await network.synthesize(ws(wish)) }) };
}"""
# Has all convolutions take one form, where they have it; the answer is their shapes.
FORCE = """async (form) => {
  const shapes = [];
  await network.choose({
    async choose(gpu, shape) {
      shapes.push(shape);
      return form;
    },
  });
  return shapes;
}"""


class GpuPage(LivePage):
    """A page that draws on a device of WebGPU without asking whether that is the better way."""

    def load(
        self,
        generator: Generator,
        precision: WebPrecision = "fp32",
        noise: str = "const",
        upscaler: Upscaler | None = None,
    ) -> None:
        """Load a generator's weights."""
        self.page.evaluate(LOAD, self.write(generator, precision, noise, upscaler))

    def write(
        self,
        generator: Generator,
        precision: WebPrecision = "fp32",
        noise: str = "const",
        upscaler: Upscaler | None = None,
    ) -> str:
        """Put a generator's weights where the page finds them; the answer is their address."""
        config, tensors = fold(generator, noise)
        if upscaler is not None:
            config = dataclasses.replace(config, upscaler=upscaler.config)
            tensors |= fold_upscaler(upscaler)
        content = pack(config, tensors, precision)
        name = f"{hashlib.sha256(content).hexdigest()}.bin"
        (self.folder / name).write_bytes(content)
        return f"/{name}"


@pytest.fixture(scope="module")
def gpu_page(gpu_browser: Browser, live_folder: tuple[Path, str]) -> Iterator[GpuPage]:
    """A page that has the shaders compiled: in software this takes seconds."""
    folder, address = live_folder
    page = gpu_browser.new_page()
    page.goto(f"{address}/")
    for script in (READER, OPEN, COMPILE):
        page.evaluate(script)
    yield GpuPage(page, folder)
    page.close()


@pytest.fixture
def gpu(gpu_page: GpuPage) -> Iterator[GpuPage]:
    """That page; the test fails if the device complained."""
    yield gpu_page
    assert gpu_page.page.evaluate("complaints.splice(0)") == []


# A program computes slowly: what is wide here is small.
SMALL = ODD | {"wide": dataclasses.replace(PLAIN, channels=(264, 40, 8))}


@pytest.mark.parametrize("name", SMALL)
def test_odd_generators_give_the_sampler_s_pictures(gpu, name):
    generator = make(SMALL[name])
    gpu.load(generator)
    psi = 0.6 if generator.config.mapping.has_mean_style else 1
    label = 2 if generator.config.mapping.c_dim else None
    worst, off = likeness(gpu, drawn(generator, [0, 4294967295], psi=psi, label=label), psi=psi, label=label)
    assert worst <= 1
    assert off <= 0.001


def test_a_bundled_generator_s_pictures_are_the_sampler_s_within_one_level(gpu):
    generator = load_generator(read_checkpoint(bundled_weights("bagels")))
    gpu.load(generator)
    worst, off = likeness(gpu, drawn(generator, [0, 1], psi=0.7), psi=0.7)
    assert worst <= 1
    assert off <= 0.001


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_weights_of_fewer_bits_are_drawn_as_by_webassembly(gpu, precision):
    url = gpu.write(make(dataclasses.replace(PLAIN, channels=(40, 32))), precision)
    gpu.page.evaluate(LOAD, url)
    worst = gpu.page.evaluate(
        """async (url) => {
          const { generator } = await open(url);
          const [got, want] = [await network.synthesize(ws({ seed: 3 })), generator.synthesize(ws({ seed: 3 }))];
          return Math.max(...got.map((value, i) => Math.abs(value - want[i])));
        }""",
        url,
    )
    assert worst <= 1


@pytest.mark.parametrize(
    "channels", [(8,) * 7, pytest.param((8,) * 9, marks=pytest.mark.slow)], ids=[256, 1024]
)
def test_large_pictures_are_right_too(gpu, channels):
    generator = make(dataclasses.replace(PLAIN, channels=channels))
    gpu.load(generator)
    worst, off = likeness(gpu, drawn(generator, [0], psi=0.8), psi=0.8)
    assert worst <= 1
    assert off <= 0.001


@pytest.mark.parametrize("name", SHAPES)
def test_enlarged_pictures_are_the_sampler_s_within_one_level(gpu, name):
    generator, upscaler = make(dataclasses.replace(PLAIN, constant=(4, 6))), calm(SHAPES[name])
    gpu.load(generator, upscaler=upscaler)
    sampler = Sampler(generator, torch.device("cpu"), batch=2, upscaler=upscaler)
    worst, off = likeness(gpu, dict(sampler.pictures([0, 4294967295], Settings(psi=0.7))), psi=0.7)
    assert worst <= 1
    assert off <= 0.002


# A network, its upscaler, and how many of its convolutions can be done by Winograd: those of at least 16 tiles.
BY_WINOGRAD = {
    "128": (dataclasses.replace(PLAIN, channels=(8, 8, 40, 24, 16, 16)), None, 7),
    "odd channels": (dataclasses.replace(PLAIN, channels=(3, 7, 17, 5, 9)), None, 5),
    "no multiples of four": (dataclasses.replace(PLAIN, constant=(9, 22), channels=(9, 10)), None, 3),
    "enlarged": (dataclasses.replace(PLAIN, constant=(4, 6)), SHAPES["odd channels"], 6),
}


def test_convolutions_by_winograd_give_the_sampler_s_pictures(gpu):
    for name, (
        config,
        enlarging,
        layers,
    ) in BY_WINOGRAD.items():  # one test, because their shaders take seconds to compile
        generator, upscaler = make(config), calm(enlarging) if enlarging else None
        gpu.load(generator, upscaler=upscaler)
        assert len(gpu.page.evaluate(FORCE, "winograd")) == layers, name
        sampler = Sampler(generator, torch.device("cpu"), batch=2, upscaler=upscaler)
        worst, off = likeness(gpu, dict(sampler.pictures([0, 4294967295], Settings(psi=0.6))), psi=0.6)
        assert worst <= 1, name
        assert off <= 0.001, name


# What `Forms` asks of a device: how long a step takes so many times, and how often it was asked.
MEASURE = """async ([times, known]) => {
  const { Forms } = await import("/static/live/webgpu/forms.js");
  const asked = [], told = [];
  const gpu = { time: async (step, runs) => (asked.push(step), runs * times[step]) };
  const forms = new Forms({ adapter: "card", known, tell: (known) => told.push({ ...known }) });
  const steps = async () => ({ direct: "direct", winograd: "winograd" });
  const chosen = [];
  for (const shape of ["16x16 8 8", "16x16 8 8", "32x32 8 8"]) chosen.push(await forms.choose(gpu, shape, steps));
  return { asked: asked.length > 0, told, chosen };
}"""


@pytest.mark.parametrize(("direct", "winograd", "best"), [(0.3, 0.2, "winograd"), (0.002, 0.003, "direct")])
def test_the_faster_form_is_measured_once_for_each_shape(gpu, direct, winograd, best):
    got = gpu.page.evaluate(MEASURE, [{"direct": direct, "winograd": winograd}, {}])
    assert got["chosen"] == [best] * 3
    assert got["told"] == [{"card 16x16 8 8": best}, {"card 16x16 8 8": best, "card 32x32 8 8": best}]


def test_what_is_known_of_this_adapter_is_not_measured_again(gpu):
    times = {"direct": 1, "winograd": 2}
    known = {"card 16x16 8 8": "winograd", "card 32x32 8 8": "direct"}
    got = gpu.page.evaluate(MEASURE, [times, known])
    assert (got["asked"], got["told"], got["chosen"]) == (False, [], ["winograd", "winograd", "direct"])
    elsewhere = {"another card 16x16 8 8": "winograd", "card 32x32 8 8": "a form of another version"}
    got = gpu.page.evaluate(MEASURE, [times, elsewhere])
    assert got["chosen"] == ["direct"] * 3


def test_a_slow_gpu_measures_for_seconds_and_the_next_page_goes_on(gpu):
    got = gpu.page.evaluate(
        """async () => {
          const { Forms } = await import("/static/live/webgpu/forms.js");
          const real = performance.now;
          let clock = 0;
          performance.now = () => clock;
          const shapes = Array.from({ length: 12 }, (_, i) => `shape ${i}`);
          const steps = async () => ({ direct: 900, winograd: 400 });
          const gpu = { time: async (ms, runs) => ((clock += runs * ms), runs * ms) };
          const visit = async (known) => {
            const forms = new Forms({ adapter: "card", known, tell: (more) => (known = { ...more }) });
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


def test_answers_of_two_precisions_are_kept_together_for_the_visit(gpu_page):
    """Each precision begins with what the page knew when it was opened, and tells that and its own."""
    kept = gpu_page.page.evaluate(
        """async () => {
          const { Pool } = await import("/static/live/pool.js");
          const { Worker: real } = globalThis;
          const asked = [];
          globalThis.Worker = class extends EventTarget {
            postMessage({ id, forms }) {
              asked.push(forms);
              const tell = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
              const keys = ["card f16 8x8 4 4", "card f32 8x8 4 4"];
              for (const key of keys) tell({ forms: { ...forms, [key]: "winograd" } });
              tell({ id, result: {} });
            }
            terminate() {}
          };
          const visit = async () => {
            const pool = new Pool({ url: "/a", sha256: "0", size: 1, large: false, keptOnly: false });
            await pool.load();
            pool.close();
          };
          try {
            sessionStorage["metagan:forms"] = JSON.stringify({ "another card f32 8x8 4 4": "direct" });
            await visit();
            await visit();
            const known = asked.map((forms) => Object.keys(forms).length);
            return { known, forms: JSON.parse(sessionStorage["metagan:forms"]) };
          } finally {
            globalThis.Worker = real;
            sessionStorage.clear();
          }
        }"""
    )
    assert kept["known"] == [1, 3]
    assert kept["forms"] == {
        "another card f32 8x8 4 4": "direct",
        "card f16 8x8 4 4": "winograd",
        "card f32 8x8 4 4": "winograd",
    }


@pytest.mark.parametrize("feature", [[], ["timestamp-query"]], ids=["by waiting", "by timestamps"])
def test_steps_are_timed_with_and_without_the_gpu_s_clock(gpu_page, feature):
    times = gpu_page.page.evaluate(
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


def test_pictures_that_are_asked_for_at_once_don_t_mix(gpu):
    gpu.load(make(PLAIN))
    assert gpu.page.evaluate(
        """async () => {
          const seeds = [1, 2, 3, 4];
          const alone = [];
          for (const seed of seeds) alone.push(String(await network.synthesize(ws({ seed, psi: 0.7 }))));
          const atOnce = await Promise.all(seeds.map((seed) => network.synthesize(ws({ seed, psi: 0.7 }))));
          return new Set(alone).size === 4 && alone.every((one, i) => one === String(atOnce[i]));
        }"""
    )


# Which of the two draws: `told` is what was said of it. `meddle` may change the adapter, `drawer` the generator,
# `network` what draws on the GPU, whose shaders take seconds to compile in software.
CHOOSE = """async ({ url, wanted }) => {
  const { Backends } = await import("/static/live/backends.js");
  const { weights, generator } = await open(url);
  if (globalThis.network) {
    const { Network } = await import("/static/live/webgpu/network.js");
    Network.open = async (_device, _code, _weights, { precision }) => network(generator, precision);
  }
  const request = GPU.prototype.requestAdapter;
  navigator.gpu.requestAdapter = async (...args) => {
    const adapter = await request.apply(navigator.gpu, args);
    const requestDevice = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (...more) => (globalThis.device = await requestDevice(...more));
    return globalThis.meddle?.(adapter) ?? adapter;
  };
  globalThis.told = [];
  const drawer = globalThis.drawer?.(generator) ?? generator;
  const backends = new Backends(drawer, weights, { wanted, tell: (name) => told.push(name) });
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
