"""The page's WebGPU scripts and shaders on another implementation of WebGPU: pictures against the sampler's."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from metagan.export.blob import pack
from metagan.export.fold import fold
from metagan.export.replay import map_latents
from metagan.networks.stylegan2.network import StyleGAN2
from metagan.sampling.latents import latents
from tests.live.test_pictures import ODD, PLAIN, drawn, make

pytest.importorskip("wgpu", reason="wgpu is not installed", exc_type=ImportError)
from tests.live.wgpu_device import WgpuDevice, best_adapter, wgpu_device


@pytest.fixture(scope="module")
def device() -> Iterator[WgpuDevice]:
    """A device of the best adapter, which may be a program."""
    adapter = best_adapter()
    if adapter is None:
        pytest.skip("no adapter for wgpu: Debian's mesa-vulkan-drivers has one that needs no GPU")
    with wgpu_device(adapter) as device:
        yield device


def differences(
    device: WgpuDevice,
    generator: StyleGAN2,
    seeds: list[int],
    psi: float,
    label: int | None = None,
    form: str = "direct",
) -> np.ndarray:
    """Levels by which the device's values differ from the sampler's."""
    config, tensors = fold(generator)
    device.open(pack(config, tensors, "fp32"), form=form)
    classes = None if label is None else torch.eye(config.c_dim)[[label]]
    found = []
    for seed, want in drawn(generator, seeds, psi=psi, label=label).items():
        w = map_latents(config, tensors, latents([seed], config.z_dim), classes, psi)
        pixels = device.draw(w.expand(2 * len(config.channels), -1).numpy())
        got = pixels[:, : want.shape[2]].reshape(want.shape)
        found.append(np.abs(got.astype(int) - want).ravel())
    return np.concatenate(found)


SMALL = ODD | {"wide": dataclasses.replace(PLAIN, channels=(264, 40, 8))}


@pytest.mark.parametrize("name", SMALL)
def test_odd_generators_give_the_sampler_s_pictures(device, name):
    generator = make(SMALL[name])
    psi = 0.6 if generator.config.mapping.has_mean_style else 1
    label = 2 if generator.config.mapping.c_dim else None
    off = differences(device, generator, [0, 4294967295], psi, label)
    assert off.max() <= 1
    assert np.mean(off > 0) <= 0.001


def test_convolutions_by_winograd_give_the_sampler_s_pictures(device):
    generator = make(dataclasses.replace(PLAIN, channels=(264, 264, 136, 12)))
    off = differences(device, generator, [0, 4294967295], 0.6, form="winograd")
    assert off.max() <= 1
    assert np.mean(off > 0) <= 0.001


def test_large_pictures_are_right_too(device):
    generator = make(dataclasses.replace(PLAIN, channels=(8,) * 7))
    off = differences(device, generator, [0], 0.8)
    assert off.max() <= 1
    assert np.mean(off > 0) <= 0.001
