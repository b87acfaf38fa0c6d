"""Pictures through an upscaler: bytes in, bytes out, and no seams."""

import numpy as np
import pytest
import torch

from metagan.live.native import libraries
from metagan.networks.upscaler import Upscaler, UpscalerConfig
from metagan.sampling import upscale
from metagan.sampling.levels import to_signed, to_uint8
from tests.networks.upscaler.test_upscaler import ODD, calm, scrambled


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_every_byte_survives_the_way_there_and_back():
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert np.array_equal(to_uint8(to_signed([every]))[0], every)


def test_an_untrained_upscaler_repeats_pixels_exactly():
    small = picture(5, 7)
    (result,) = upscale.upscale_pictures(Upscaler(UpscalerConfig()), [small])
    assert np.array_equal(result, small.repeat(4, axis=0).repeat(4, axis=1))
    assert np.array_equal(upscale.enlarge(small, 4, "nearest"), result)


@pytest.mark.parametrize("factor", [2, 4])
def test_large_pictures_are_taken_in_tiles_without_a_seam(monkeypatch, factor):
    upscaler = scrambled(UpscalerConfig(factor, ODD.channels, ODD.blocks, ODD.fine_channels))
    large = picture(45, 70)
    whole = to_uint8(upscaler(to_signed([large])))[0].astype(int)
    monkeypatch.setattr(upscale, "TILE_PX", 16)
    (tiled,) = upscale.upscale_pictures(upscaler, [large])
    assert np.abs(whole - tiled).max() <= 1  # sums are added in another order
    assert (whole != tiled).mean() < 0.001


def test_a_picture_doesnt_depend_on_its_neighbours():
    upscaler = scrambled(ODD)
    pictures = [picture(8, 8, seed) for seed in range(3)]
    together = upscale.upscale_pictures(upscaler, pictures)
    assert all(
        np.array_equal(upscale.upscale_pictures(upscaler, [one])[0], same)
        for one, same in zip(pictures, together, strict=True)
    )


@pytest.mark.parametrize("program", ["none", *libraries()])
def test_a_picture_doesnt_depend_on_the_number_of_threads(monkeypatch, program):
    monkeypatch.setenv("METAGAN_KERNEL", program)
    upscaler, before = scrambled(UpscalerConfig()), torch.get_num_threads()
    pictures = [picture(32, 32, seed) for seed in range(3)] + [picture(20, 9)]
    results = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(upscale.upscale_pictures(upscaler, pictures))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert all(np.array_equal(*pair) for other in results[1:] for pair in zip(results[0], other, strict=True))


def test_the_kernels_pictures_are_pytorchs_within_a_level_also_in_tiles(monkeypatch):
    upscaler, pictures = calm(ODD), [picture(45, 70)]
    monkeypatch.setattr(upscale, "TILE_PX", 32)
    (mine,) = upscale.upscale_pictures(upscaler, pictures)
    monkeypatch.setenv("METAGAN_KERNEL", "none")
    (theirs,) = upscale.upscale_pictures(upscaler, pictures)
    assert np.abs(mine.astype(int) - theirs).max() <= 1
    assert (mine != theirs).mean() < 0.001
