"""Inputs as a generator makes them: degraded, but the same pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from metagan.training.upscaler.data import crop
from metagan.training.upscaler.degrade import degrade, reduce, reduce_variously


def smooth(n: int = 8, side: int = 32) -> torch.Tensor:
    rows = torch.linspace(-0.8, 0.8, side)
    return (rows[:, None] * rows[None]).expand(n, 3, side, side).contiguous()


def test_without_strength_pictures_are_only_rounded_to_bytes():
    small = smooth()
    out = degrade(small, 0.0, torch.Generator().manual_seed(0))
    assert (out - small).abs().max() <= 0.5 / 127.5 + 1e-6
    levels = out * 127.5 + 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-3)


def test_strength_adds_grain_but_leaves_the_picture_and_some_stay_clean():
    small = smooth(64)
    out = degrade(small, 1.0, torch.Generator().manual_seed(0))
    off = (out - small).abs().mean(dim=(1, 2, 3))
    assert (off < 0.004).float().mean() >= 0.25  # at most rounding
    assert off.max() > 0.01
    assert off.max() < 0.08


def test_the_same_chance_gives_the_same_pictures():
    same = [degrade(smooth(), 1.0, torch.Generator().manual_seed(5)) for _ in range(2)]
    assert torch.equal(*same)


def test_smears_take_edges_away():
    edges = torch.zeros(32, 3, 16, 16)
    edges[..., 8:] = 1
    strong = degrade(edges, 3.0, torch.Generator().manual_seed(0))
    jump = (strong[..., 8] - strong[..., 7]).mean(dim=(1, 2))
    assert jump.min() < 0.7


@pytest.mark.parametrize("factor", [2, 4])
def test_reduced_pictures_keep_their_mean_and_flat_colours(factor):
    flat = torch.full((1, 3, 16, 16), 0.25)
    assert torch.allclose(
        reduce(flat, factor), torch.full((1, 3, 16 // factor, 16 // factor), 0.25), atol=1e-5
    )


@pytest.mark.parametrize("factor", [2, 4])
def test_pictures_are_made_small_by_several_filters_and_lanczos_is_pillow_s(factor):
    source = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    coarse = np.asarray(Image.fromarray(source[:8, :8]).resize((32, 32), Image.Resampling.BICUBIC))
    picture = torch.from_numpy(coarse.copy()).permute(2, 0, 1).float().div(127.5).sub(1)
    small = reduce_variously(picture.expand(64, 3, 32, 32), factor, torch.Generator().manual_seed(0))
    different = {tuple(one.flatten().tolist()) for one in small}
    assert len(different) == 3
    want = Image.fromarray(coarse).resize((32 // factor, 32 // factor), Image.Resampling.LANCZOS)
    inner = (slice(3, -3), slice(3, -3))
    off = [
        np.abs(one.permute(1, 2, 0).numpy() * 127.5 + 127.5 - np.asarray(want))[inner].max() for one in small
    ]
    assert min(off) < 1  # but for the border, where Pillow cuts the filter off


def test_crops_lie_on_the_grid_of_the_small_picture():
    rows = torch.arange(64.0).view(1, 1, 64, 1).expand(16, 1, 64, 64)
    cut = crop(rows, 32, 4, torch.Generator().manual_seed(0))
    tops = cut[:, 0, 0, 0].tolist()
    assert all(top % 4 == 0 for top in tops)
    assert len(set(tops)) > 3
