"""Non-local means: noise goes, edges stay, and clean pictures aren't touched."""

import numpy as np
import pytest

from metagan.sampling import denoise as module
from metagan.sampling.denoise import denoise, noise_of


def drawing(side: int = 48) -> np.ndarray:
    """Flat parts with hard edges."""
    picture = np.full((side, side, 3), (200, 120, 60), np.uint8)
    picture[side // 3 :, side // 2 :] = (30, 60, 160)
    picture[side // 2 : side // 2 + 2] = 0
    return picture


def noisy(picture: np.ndarray, deviation: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, deviation, picture.shape)
    return np.clip(picture + noise, 0, 255).round().astype(np.uint8)


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.square(a.astype(float) - b).mean()))


def test_noise_is_estimated_and_edges_are_no_noise():
    assert noise_of(drawing()) == 0
    assert noise_of(noisy(drawing(96), 12)) == pytest.approx(12, rel=0.2)
    assert noise_of(np.zeros((2, 2, 3), np.uint8)) == 0


def test_noise_goes_and_edges_stay():
    clean = drawing()
    bad = noisy(clean, 12)
    good = denoise(bad)
    assert error(good, clean) < 0.5 * error(bad, clean)
    assert abs(int(good[40, 23, 2]) - int(good[40, 24, 2])) > 80


def test_a_clean_picture_stays_as_it_is_and_strips_change_nothing(monkeypatch):
    assert (denoise(drawing()) == drawing()).all()
    bad = noisy(drawing(), 12)
    whole = denoise(bad, 12)
    monkeypatch.setattr(module, "STRIP_PX", 10)
    assert (denoise(bad, 12) == whole).all()
    assert denoise(bad[:5, :3], 12).shape == (5, 3, 3)
