"""What the kernel's functions compute, written plainly in numpy with float64."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def padded_channels(count: int, lanes: int) -> int:
    """As the kernel pads them."""
    return -(-count // lanes) * lanes


def widen(array: Array, *axes: int, lanes: int) -> Array:
    """Zeros after the last channel of these axes."""
    pads = [(0, 0)] * array.ndim
    for axis in axes:
        pads[axis] = (0, padded_channels(array.shape[axis], lanes) - array.shape[axis])
    return np.pad(array, pads)


def border(x: Array) -> Array:
    """Features [h, w, c] with a border of zeros."""
    return np.pad(x, ((1, 1), (1, 1), (0, 0)))


def convolve(x: Array, w: Array) -> Array:
    """Correlate features [h, w, in] with kernels [out, in, 3, 3], same size."""
    h, width, _ = x.shape
    wide = border(x).astype(np.float64)
    return sum(wide[i : i + h, j : j + width] @ w[:, :, i, j].T for i in range(3) for j in range(3))


def convolve_transposed(x: Array, w: Array) -> Array:
    """Stride 2, no padding: [h, w, in] to [2h + 1, 2w + 1, out]."""
    h, width, _ = x.shape
    y = np.zeros((2 * h + 1, 2 * width + 1, len(w)))
    for i in range(3):
        for j in range(3):
            y[i : i + 2 * h : 2, j : j + 2 * width : 2] += x.astype(np.float64) @ w[:, :, i, j].T
    return y


def filter_rows(y: Array) -> Array:
    """[1, 3, 3, 1] / 4 along the first axis with one zero around it."""
    wide = np.pad(y, ((1, 1), (0, 0), (0, 0)))
    return (wide[:-3] + 3 * wide[1:-2] + 3 * wide[2:-1] + wide[3:]) / 4


def fir(y: Array) -> Array:
    """The filter along both axes: [2h + 1, 2w + 1, c] to [2h, 2w, c]."""
    return filter_rows(filter_rows(y).swapaxes(0, 1)).swapaxes(0, 1)


def double(image: Array) -> Array:
    """Zeros between the pixels, then the filter: [h, w, c] to [2h, 2w, c]."""
    h, w, c = image.shape
    sparse = np.zeros((2 * h + 1, 2 * w + 1, c))
    sparse[1::2, 1::2] = image
    return fir(sparse)


def finish(sums: Array, gain: Array, bias: Array, noise: Array | None, clamp: float) -> Array:
    """Demodulate, add, activate, clamp."""
    y = sums * gain + bias + (0 if noise is None else noise[:, :, None])
    return np.clip(np.where(y < 0, y / 5, y), -clamp, clamp)
