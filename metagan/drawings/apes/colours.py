"""Colours, and matching combinations of fur and skin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Colour = tuple[int, int, int]
WHITE: Final[Colour] = (255, 252, 245)
BLACK: Final[Colour] = (36, 30, 42)
GOLD: Final[Colour] = (247, 197, 49)
RED: Final[Colour] = (214, 52, 58)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Mix `one` with a share of `other`, 0 to 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def hexed(text: str) -> Colour:
    """Parse a hex colour such as "7a4a2b"."""
    red, green, blue = bytes.fromhex(text)
    return red, green, blue


@dataclass(frozen=True)
class Fur:
    """The colours of an ape's fur and skin.

    Args:
        hair: Colour of head and shoulders.
        skin: Colour of face, muzzle and ears.
        lip: Colour of the inside of the ears, and of lines on the skin.
    """

    hair: Colour
    skin: Colour
    lip: Colour


def _fur(hair: str, skin: str, lip: str) -> Fur:
    return Fur(hexed(hair), hexed(skin), hexed(lip))


FURS: Final[dict[str, tuple[float, Fur]]] = {
    "Brown": (18, _fur("84502c", "dfa878", "b87850")),
    "Dark Brown": (14, _fur("553626", "b98460", "8f5f45")),
    "Black": (12, _fur("3a3743", "8d8490", "655c6b")),
    "Grey": (11, _fur("8a8a92", "c9c0bd", "9c908f")),
    "Tan": (11, _fur("c9924f", "f2d3a0", "cf9c68")),
    "Red": (9, _fur("b5502f", "efb183", "c97f58")),
    "Cream": (7, _fur("e6d2a8", "f3b79a", "d18d76")),
    "Blue": (5, _fur("3f6fa8", "9cc6e6", "6c98c0")),
    "Purple": (4, _fur("6a4a9c", "c0a3e0", "9474bd")),
    "Green": (3.5, _fur("4f8746", "b5d696", "82a868")),
    "Pink": (2.5, _fur("d9649a", "fbc3d2", "df8fae")),
    "White": (2, _fur("edebf0", "e9bfb4", "c38f8a")),
    "Gold": (0.5, _fur("e0a520", "ffe48a", "c9921c")),
}
