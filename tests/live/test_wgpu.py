"""The page's WebGPU scripts and shaders on another implementation of WebGPU: pictures against the sampler's."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from metagan.export.blob import pack
from metagan.export.fold import fold, fold_upscaler
from metagan.export.replay import map_latents
from metagan.networks.stylegan2.network import StyleGAN2
from metagan.networks.upscaler import Upscaler
from metagan.sampling.latents import latents
from metagan.sampling.sampler import Sampler, Settings
from tests.live.test_pictures import ODD, PLAIN, make
from tests.live.test_upscaled import SHAPES, calm

pytest.importorskip("wgpu", reason="wgpu is not installed", exc_type=ImportError)
from tests.live.wgpu_device import WgpuDevice, best_adapter, wgpu_device

PSNR_DB = 45


@pytest.fixture(scope="module")
def device() -> Iterator[WgpuDevice]:
    """A device of the best adapter, which may be a program."""
    adapter = best_adapter()
    if adapter is None:
        pytest.skip("no adapter for wgpu: Debian's mesa-vulkan-drivers has one that needs no GPU")
    with wgpu_device(adapter) as device:
        yield device


@pytest.fixture
def half(device: WgpuDevice) -> WgpuDevice:
    """The same, if it computes in half precision."""
    if not device.has_half:
        pytest.skip("the adapter has no shader-f16")
    return device


@dataclasses.dataclass(frozen=True)
class Case:
    """What is drawn."""

    generator: StyleGAN2
    psi: float = 0.7
    seeds: tuple[int, ...] = (0, 4294967295)
    upscaler: Upscaler | None = None

    def differences(self, device: WgpuDevice, precision: str, form: str = "direct") -> np.ndarray:
        """Levels by which the pictures' values differ from the sampler's."""
        config, tensors = fold(self.generator)
        if self.upscaler:
            config = dataclasses.replace(config, upscaler=self.upscaler.config)
            tensors |= fold_upscaler(self.upscaler)
        device.open(pack(config, tensors, "fp32"), precision, form)
        classes = torch.eye(config.c_dim)[[2]] if config.c_dim else None
        sampler = Sampler(self.generator, torch.device("cpu"), batch=1, upscaler=self.upscaler)
        found = []
        settings = Settings(psi=self.psi, label=2 if config.c_dim else None)
        for seed, want in sampler.pictures(self.seeds, settings):
            w = map_latents(config, tensors, latents([seed], config.z_dim), classes, self.psi)
            pixels = device.draw(w.expand(2 * len(config.channels), -1).numpy())
            got = pixels[:, : want.shape[2]].reshape(want.shape)
            found.append(np.abs(got.astype(int) - want).ravel())
        return np.concatenate(found)


def psnr_db(off: np.ndarray) -> float:
    """The peak signal-to-noise ratio of values that are off by so many levels."""
    return 10 * np.log10(255**2 / max(np.mean(off**2), 1e-9))


def case(name: str) -> Case:
    generator = make(SMALL[name])
    seeds = (0, 4294967295) if generator.resolution <= 64 else (0,)
    return Case(generator, psi=0.6 if generator.config.mapping.has_mean_style else 1, seeds=seeds)


SMALL = ODD | {
    "wide": dataclasses.replace(PLAIN, channels=(264, 40, 8)),
    "128x128": dataclasses.replace(PLAIN, channels=(48, 32, 24, 16, 12, 8)),
    "256x256": dataclasses.replace(PLAIN, channels=(8, 8, 8, 8, 8, 4, 4)),
}


BY_WINOGRAD = Case(make(dataclasses.replace(PLAIN, channels=(24, 72, 136, 12))))


@pytest.mark.parametrize("name", ["plain", "odd channels", "clamped", "wide", "alpha"])
def test_pictures_are_the_sampler_s(device, name):
    off = case(name).differences(device, "f32")
    assert off.max() <= 1
    assert np.mean(off > 0) <= 0.001


@pytest.mark.parametrize("name", SMALL)
def test_half_precision_gives_the_sampler_s_pictures_nearly(half, name):
    assert psnr_db(case(name).differences(half, "f16")) >= PSNR_DB


def test_convolutions_by_winograd_give_the_sampler_s_pictures(device):
    off = BY_WINOGRAD.differences(device, "f32", "winograd")
    assert off.max() <= 1
    assert np.mean(off > 0) <= 0.001


def test_half_precision_gives_them_nearly_by_winograd_too(half):
    assert psnr_db(BY_WINOGRAD.differences(half, "f16", "winograd")) >= PSNR_DB


@pytest.mark.parametrize(
    "constant", [(4, 1), pytest.param((4, 4), marks=pytest.mark.slow)], ids=["1024x256", "1024x1024"]
)
def test_half_precision_is_enough_for_1024_pixels(half, constant):
    generator = make(dataclasses.replace(PLAIN, constant=constant, channels=(8, 8, 8, 8, 4, 4, 4, 4, 4)))
    assert psnr_db(Case(generator, seeds=(0,)).differences(half, "f16")) >= PSNR_DB


@pytest.mark.parametrize("name", ["four times", "twice"])
def test_half_precision_enlarges_pictures_nearly_as_the_sampler_does(half, name):
    upscaled = Case(make(dataclasses.replace(PLAIN, constant=(4, 6))), upscaler=calm(SHAPES[name]))
    assert psnr_db(upscaled.differences(half, "f16")) >= PSNR_DB


def test_numbers_that_half_precision_doesn_t_hold_by_themselves_don_t_overflow(half):
    generator = make(dataclasses.replace(PLAIN, clamp=256.0, channels=(64, 32, 24)))
    for name, tensor in generator.state_dict().items():
        if "to_rgb.weight" in name:
            tensor.mul_(0.01)
        elif ".conv" in name:
            # Demodulation makes up for weights and styles; noise brings features to the clamp.
            factors = {"weight": 3e4, "affine.weight": 1e3, "affine.bias": 1e3, "noise_strength": 500}
            tensor.mul_(factors.get(name.split(".", 3)[-1], 1))
    assert psnr_db(Case(generator).differences(half, "f16")) >= PSNR_DB
