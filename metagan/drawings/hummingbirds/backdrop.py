"""Backdrops, far out of focus: soft colours and discs of light."""

import numpy as np
from PIL import Image

from metagan.drawings.painting import Array, linear, smoothstep

THEMES = {
    "forest": ((58, 84, 60), (96, 122, 80), (36, 56, 46), (166, 184, 120)),
    "meadow": ((142, 164, 108), (182, 192, 130), (104, 134, 88), (228, 226, 172)),
    "garden": ((96, 126, 92), (136, 156, 112), (68, 96, 76), (224, 158, 170)),
    "dusk": ((148, 110, 84), (206, 156, 104), (96, 84, 74), (250, 206, 130)),
    "sky": ((150, 182, 200), (186, 206, 212), (112, 150, 130), (240, 244, 240)),
}
COARSE = 64  # the blur leaves nothing finer


def paint_backdrop(rng: np.random.Generator, name: str, size_px: int) -> Array:
    """Paint a backdrop of a theme in linear light, [3, size, size]."""
    shift = rng.normal(0, 7, 3) + rng.normal(0, 9)
    main, bright, dark, sparkle = (
        linear(np.clip(colour + shift, 0, 255)) for colour in np.array(THEMES[name])
    )
    y, x = np.mgrid[0:COARSE, 0:COARSE].astype(np.float32) / COARSE
    picture = np.broadcast_to(main[:, None, None], (3, COARSE, COARSE)).copy()
    for _ in range(9):
        colour = bright if rng.random() < 0.5 else dark
        _add_disc(picture, x, y, rng, colour, (0.15, 0.5), 1.0, 0.6)
    for _ in range(int(rng.integers(4, 15))):
        colour = sparkle * np.float32(rng.uniform(0.55, 1.0))
        if rng.random() < 0.5:
            colour = bright
        _add_disc(picture, x, y, rng, colour, (0.035, 0.12), 0.22, float(rng.uniform(0.12, 0.5)))
    layers = [
        np.asarray(Image.fromarray(layer).resize((size_px, size_px), Image.Resampling.BICUBIC))
        for layer in picture
    ]
    return np.asarray(np.maximum(np.stack(layers), 0), np.float32)


def _add_disc(
    picture: Array,
    x: Array,
    y: Array,
    rng: np.random.Generator,
    colour: Array,
    sizes: tuple[float, float],
    softness: float,
    strength: float,
) -> None:
    """Lay one disc over the picture, its edge as soft as softness says (a share of its radius)."""
    radius = float(rng.uniform(*sizes))
    column, row = rng.uniform(-0.1, 1.1, 2)
    away = np.asarray(np.hypot(x - column, y - row) / radius, np.float32)
    cover = smoothstep(1 + softness / 2, 1 - softness, away) * np.float32(strength)
    cover = cover * (
        np.float32(0.85) + np.float32(0.15) * np.minimum(away, 1)
    )  # lenses draw discs with a rim
    picture += (colour[:, None, None] - picture) * cover
