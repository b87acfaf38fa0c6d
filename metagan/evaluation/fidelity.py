"""How near a picture comes to its original: PSNR and SSIM.

References:
    [1] Wang et al. 2004, Image Quality Assessment: From Error Visibility to Structural Similarity, IEEE TIP 13(4).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

MOST_PSNR_DB = 100.0  # of equal pictures, whose PSNR is infinite
WINDOW = 11  # [1] section III.B
WINDOW_SIGMA = 1.5
K1, K2 = 0.01, 0.03
RANGE = 255.0


def psnr(picture: NDArray[np.uint8], original: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB, over all pixels and channels; at most 100."""
    error = np.mean((picture.astype(np.float64) - original.astype(np.float64)) ** 2)
    return MOST_PSNR_DB if error == 0 else min(MOST_PSNR_DB, float(10 * np.log10(RANGE**2 / error)))


def ssim(picture: NDArray[np.uint8], original: NDArray[np.uint8]) -> float:
    """Structural similarity ([1] equation 13), the mean over all whole windows and channels; 1 for equal pictures.

    Args:
        picture: [h, w, ch], at least 11 pixels high and wide.
        original: Of the same shape.
    """
    x, y = (torch.from_numpy(p.astype(np.float64).transpose(2, 0, 1)[:, None]) for p in (picture, original))
    mean_x, mean_y = _window(x), _window(y)
    var_x, var_y = _window(x * x) - mean_x**2, _window(y * y) - mean_y**2
    covariance = _window(x * y) - mean_x * mean_y
    c1, c2 = (K1 * RANGE) ** 2, (K2 * RANGE) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    return float((luminance * structure).mean())


def fidelity(
    pictures: Sequence[NDArray[np.uint8]], originals: Sequence[NDArray[np.uint8]]
) -> dict[str, float]:
    """The mean "psnr" and "ssim" of pictures [h, w, ch] and their originals."""
    pairs = list(zip(pictures, originals, strict=True))
    return {
        "psnr": float(np.mean([psnr(picture, original) for picture, original in pairs])),
        "ssim": float(np.mean([ssim(picture, original) for picture, original in pairs])),
    }


def _window(x: Tensor) -> Tensor:
    """Gaussian means of 11x11 pixels, as separable filters; windows that would reach outside are left out."""
    places = torch.arange(WINDOW, dtype=x.dtype) - WINDOW // 2
    taps = torch.exp(-places.square() / (2 * WINDOW_SIGMA**2))
    taps = taps / taps.sum()
    return F.conv2d(F.conv2d(x, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))
