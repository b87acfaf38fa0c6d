"""PSNR and SSIM against their definitions."""

import numpy as np
import pytest

from metagan.evaluation.fidelity import fidelity, psnr, ssim


def pictures(noise: float, side: int = 16) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(0)
    original = source.integers(0, 256, (side, side, 3)).astype(float)
    other = np.clip(original + noise * source.normal(size=original.shape), 0, 255)
    return other.astype(np.uint8), original.astype(np.uint8)


def test_psnr_is_its_formula_and_ends_at_100():
    black, grey = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 51, np.uint8)
    assert psnr(grey, black) == pytest.approx(10 * np.log10(255**2 / 51**2))
    assert psnr(black, black) == 100


def test_ssim_is_equation_13_window_by_window():
    made, original = pictures(40)
    places = np.arange(11) - 5
    weights = np.exp(-(places[:, None] ** 2 + places[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for channel in range(3):
        for top in range(6):
            for left in range(6):
                x, y = (p[top : top + 11, left : left + 11, channel].astype(float) for p in (made, original))
                mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
                var_x, var_y = (weights * (x - mean_x) ** 2).sum(), (weights * (y - mean_y) ** 2).sum()
                both = (weights * (x - mean_x) * (y - mean_y)).sum()
                c1, c2 = 2.55**2, 7.65**2
                values.append(
                    (2 * mean_x * mean_y + c1) * (2 * both + c2)
                    / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
                )  # fmt: skip
    assert ssim(made, original) == pytest.approx(np.mean(values), abs=1e-9)


def test_more_noise_is_worse_by_both():
    little, much = pictures(5), pictures(60)
    good, bad = (fidelity([made], [original]) for made, original in (little, much))
    assert good["psnr"] > bad["psnr"]
    assert good["ssim"] > bad["ssim"]
    assert fidelity([little[1]], [little[1]]) == {"psnr": 100.0, "ssim": pytest.approx(1)}
