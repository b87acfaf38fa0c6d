"""WebGPU, computed by a program: pictures against the sampler's, and when it draws instead of WebAssembly."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser

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
