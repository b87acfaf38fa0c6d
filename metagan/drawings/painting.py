"""Colour and texture for the drawn collections: sRGB and linear light, ramps, noise, tone mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# --------------------------------------------------------------------------------------------
# Draws of named traits by stated probability.


def choose(rng: np.random.Generator, chances: Mapping[str, float]) -> str:
    """Draw one name; the probabilities sum to 1."""
    names = list(chances)
    return names[int(rng.choice(len(names), p=np.array(list(chances.values()))))]


Array = NDArray[np.float32]
Reals = NDArray[np.floating[Any]]  # any precision as input, single precision as output

LATTICE = 32


def linear(srgb: Sequence[float] | Reals) -> Array:
    """Turn an sRGB colour of 0 to 255 into linear light of 0 to 1 (IEC 61966-2-1)."""
    value = np.asarray(srgb, np.float32) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


def encode(light: Reals) -> NDArray[np.uint8]:
    """Turn linear light of 0 to 1 into sRGB bytes."""
    light = np.clip(light, 0, 1)
    value = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(value * 255 + 0.5, np.uint8)


def film(light: Reals) -> Array:
    """Compress highlights as film does, keeping the middle: a rational curve with a toe (Narkowicz 2015)."""
    return np.asarray(light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14), np.float32)


def ramp(stops: Sequence[tuple[float, Sequence[float]]], at: Reals) -> Array:
    """Look up a colour ramp of (position, sRGB) stops; [n] positions give [3, n] linear colours."""
    where = [stop for stop, _ in stops]
    colours = np.array([linear(colour) for _, colour in stops])
    return np.stack([np.interp(at, where, colours[:, k]).astype(np.float32) for k in range(3)])


def smoothstep(low: float, high: float, x: Reals) -> Array:
    """Go from 0 at low to 1 at high with level ends; low may be the larger."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def blend(first: Reals, second: Reals, weight: Reals) -> Array:
    """Go from first (weight 0) to second (weight 1)."""
    return np.asarray(first + (second - first) * weight, np.float32)


def make_lattice(rng: np.random.Generator) -> Array:
    """Random values at the corners of a periodic cube, for noise()."""
    return rng.random(LATTICE**3, dtype=np.float32)


def noise(lattice: Array, points: Array) -> Array:
    """Smooth value noise of 0 to 1 with features of size 1, at [3, n] or [2, n] points (Perlin 1985's lattice)."""
    floor = np.floor(points)
    part = points - floor
    part = part * part * (3 - 2 * part)
    cell = floor.astype(np.int32)
    low, high = cell & (LATTICE - 1), (cell + 1) & (LATTICE - 1)
    value = np.zeros(points.shape[1], np.float32)
    for corner in range(2 ** len(points)):
        index = np.zeros(points.shape[1], np.int32)
        weight = np.ones(points.shape[1], np.float32)
        for axis in range(len(points)):
            up = corner >> axis & 1
            index = index * LATTICE + (high[axis] if up else low[axis])
            weight = weight * (part[axis] if up else 1 - part[axis])
        value += weight * lattice[index]
    return value


def fractal(lattice: Array, points: Array, octaves: int = 3) -> Array:
    """Noise summed over octaves, each twice as fine and half as strong, scaled back to 0 to 1."""
    total = np.zeros(points.shape[1], np.float32)
    weight, weights = 1.0, 0.0
    for octave in range(octaves):
        total += np.float32(weight) * noise(
            lattice, points * np.float32(2**octave) + np.float32(7.3 * octave)
        )
        weight, weights = weight / 2, weights + weight
    return total / np.float32(weights)


def shrink(pixels: Array, factor: int) -> Array:
    """Average squares of factor x factor pixels, [h, w, 3]."""
    height, width, channels = pixels.shape
    squares = pixels.reshape(height // factor, factor, width // factor, factor, channels)
    return np.asarray(squares.mean((1, 3)), np.float32)


def vignette(size_px: int, strength: float) -> Array:
    """Vignetting of a lens: 1 in the middle of the picture, less in its corners, [size, size]."""
    step = np.linspace(-1, 1, size_px, dtype=np.float32)
    return np.asarray(1 - np.float32(strength) * (step[None, :] ** 2 + step[:, None] ** 2), np.float32)
