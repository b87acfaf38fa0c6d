"""Apes: layered portraits with traits, like NFT collections, drawn without any asset. CC0.

An ape is drawn from its random traits, layer by layer from back to front.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metagan.drawings.apes import body
from metagan.drawings.apes.backgrounds import BACKGROUNDS
from metagan.drawings.apes.canvas import Canvas
from metagan.drawings.apes.clothes import CLOTHES
from metagan.drawings.apes.colours import FURS
from metagan.drawings.apes.extras import EARRINGS, EXTRAS
from metagan.drawings.apes.eyes import EYES
from metagan.drawings.apes.hats import HATS
from metagan.drawings.apes.mouths import MOUTHS

TRAITS: Final[Mapping[str, Mapping[str, tuple[float, object]]]] = {
    "Background": BACKGROUNDS,
    "Fur": FURS,
    "Eyes": EYES,
    "Mouth": MOUTHS,
    "Hat": HATS,
    "Clothes": CLOTHES,
    "Earring": EARRINGS,
    "Extras": EXTRAS,
}


def draw_traits(rng: np.random.Generator) -> dict[str, str]:
    """Draw one ape's traits at random, by the weights of their values."""
    return {trait: _lot(rng, trait) for trait in TRAITS}


def draw(rng: np.random.Generator, resolution: int) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """Draw an ape with random traits.

    Args:
        rng: Random number generator; one draw per trait.
        resolution: The side in pixels.

    Returns:
        RGB, [resolution, resolution, 3], and the traits.
    """
    traits = draw_traits(rng)
    return portray(traits, resolution), traits


def portray(traits: Mapping[str, str], resolution: int) -> NDArray[np.uint8]:
    """Draw the ape with these traits, RGB [resolution, resolution, 3]."""
    fur = FURS[traits["Fur"]][1]
    hat = HATS[traits["Hat"]][1]
    extra = EXTRAS[traits["Extras"]][1]
    canvas = Canvas(resolution)
    BACKGROUNDS[traits["Background"]][1](canvas)
    body.draw_shoulders(canvas, fur)
    CLOTHES[traits["Clothes"]][1](canvas, fur)
    hat.behind(canvas, fur)
    body.draw_ears(canvas, fur)
    body.draw_head(canvas, fur)
    EARRINGS[traits["Earring"]][1](canvas, fur)
    body.draw_brow(canvas, fur)
    body.draw_muzzle(canvas, fur)
    extra.skin(canvas, fur)
    MOUTHS[traits["Mouth"]][1](canvas, fur)
    EYES[traits["Eyes"]][1](canvas, fur)
    hat.front(canvas, fur)
    extra.front(canvas, fur)
    return canvas.finish()


def _lot(rng: np.random.Generator, trait: str) -> str:
    values, ends = _LOTS[trait]
    return values[bisect.bisect_right(ends, rng.random() * ends[-1])]


# Each trait's values and the cumulative sums of their weights.
_LOTS: Final = {
    trait: (list(values), np.cumsum([weight for weight, _ in values.values()]).tolist())
    for trait, values in TRAITS.items()
}
