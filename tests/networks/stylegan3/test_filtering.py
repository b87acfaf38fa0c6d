"""Filtered non-linearities as banded matrices, against the paper's definition and the official operations."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from metagan.networks.stylegan3 import filtering
from metagan.networks.stylegan3.filtering import Resampling, filtered_leaky_relu


def spelled_out(x, scale, bias, up_taps, down_taps, resampling, *, slope, gain, clamp):
    """The definition, step by step: insert zeros, pad, convolve, activate, clamp, convolve, drop samples."""
    up, down, (left, right, above, below) = resampling
    n, c, h, w = x.shape
    x = x * scale[:, :, None, None] + bias[:, None, None]
    wide = x.new_zeros(n, c, h * up, w * up)
    wide[:, :, ::up, ::up] = x
    x = F.pad(wide, (left, right, above, below))
    x = convolve(x, up_taps) * (up**2)
    x = F.leaky_relu(x, slope) * gain
    x = x if clamp is None else x.clamp(-clamp, clamp)
    return convolve(x, down_taps)[:, :, ::down, ::down]


def convolve(x, taps):
    if taps is None:
        return x
    kernel = (torch.outer(taps, taps) if taps.ndim == 1 else taps).flip((0, 1))
    return F.conv2d(x, kernel.expand(x.shape[1], 1, *kernel.shape), groups=x.shape[1])


def compare(x, up_taps, down_taps, resampling, **options):
    scale, bias = torch.rand(x.shape[:2]), torch.randn(x.shape[1])
    options = {"slope": 0.2, "gain": math.sqrt(2), "clamp": 0.8} | options
    ours = filtered_leaky_relu(x, scale, bias, up_taps, down_taps, resampling, **options)
    wanted = spelled_out(x, scale, bias, up_taps, down_taps, resampling, **options)
    assert ours.shape == wanted.shape
    assert torch.allclose(ours, wanted, atol=1e-5)


@pytest.mark.parametrize("size", [1, 9, 70])
@pytest.mark.parametrize("resampling", [Resampling(2, 2, (9, 8, 7, 9)), Resampling(4, 2, (5, -3, 12, 4))])
def test_asymmetric_filters_at_many_sizes_give_what_the_definition_gives(size, resampling):
    torch.manual_seed(size)
    compare(torch.randn(2, 3, size + 8, size + 11), torch.rand(12), torch.rand(7), resampling)


def test_filters_that_are_not_separable_give_what_the_definition_gives():
    torch.manual_seed(0)
    compare(torch.randn(1, 2, 20, 90), torch.rand(5), torch.rand(6, 6), Resampling(2, 2, (4, 4, 4, 4)))
    compare(torch.randn(1, 2, 20, 20), torch.rand(5, 5), None, Resampling(2, 1, (4, -1, 0, 4)))


def test_without_filters_only_the_rest_is_left():
    torch.manual_seed(0)
    compare(torch.randn(2, 3, 5, 6), None, None, Resampling(1, 1, (0, 0, 0, 0)), slope=1.0, gain=1.0)


def test_passes_over_a_few_channels_change_nothing(monkeypatch):
    torch.manual_seed(0)
    x, taps = torch.randn(2, 5, 12, 12), torch.rand(12)
    arguments = (x, torch.ones(2, 5), torch.zeros(5), taps, taps, Resampling(2, 2, (9, 8, 9, 8)))
    whole = filtered_leaky_relu(*arguments)
    monkeypatch.setattr(filtering, "CACHED_NUMBERS", 3 * 30 * 30)
    assert torch.allclose(filtered_leaky_relu(*arguments), whole, atol=1e-6)


def test_the_official_operations_are_matched(shared_vectors):
    with np.load(shared_vectors / "ops" / "ops_sg3.npz") as vectors:
        arrays = {key: torch.from_numpy(vectors[key]) for key in vectors if key != "info"}
        described = json.loads(str(vectors["info"]))
    seen = 0
    for name, how in described.items():
        if how["op"] != "filtered_lrelu":
            continue
        x, bias = arrays[f"{name}/x"], arrays[f"{name}/b"]
        taps = [arrays.get(f"{name}/{key}") for key in ("fu", "fd")]
        taps = [None if filter_ is None or filter_.numel() == 0 else filter_ for filter_ in taps]
        left, right, above, below = how["padding"]
        resampling = Resampling(how["up"], how["down"], (left, right, above, below))
        y = filtered_leaky_relu(
            x, torch.ones(x.shape[:2]), bias, *taps, resampling,
            slope=how["slope"], gain=how["gain"], clamp=how["clamp"],
        )  # fmt: skip
        assert torch.allclose(y, arrays[f"{name}/y"], atol=1e-5), name
        seen += 1
    assert seen == 5
