"""Generates the style sheet of the site's colours, with readable contrast for all text.

Contrast is WCAG 2.2's (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio): text needs 4.5 to 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from metagan.errors import BuildError
from metagan.images.card import CardColours
from metagan.registry.models import Theme

# The page's colours are those of static/site.css; a test compares the two.
LIGHT_PAGE = "#f5f2ec"
DARK_PAGE = "#131110"
# A little over 4.5, because cards and chips differ slightly from the page's colour.
TEXT_CONTRAST = 5.0

_HEX = re.compile(r"#(?:[0-9a-fA-F]{3}){1,2}")


def theme_css(theme: Theme, sizes: Iterable[tuple[int, int]]) -> str:
    """Return the style sheet: the theme's colours, and a class for each picture size's aspect ratio.

    Args:
        theme: Colours from the registry; if one is too faint for text, text gets a stronger shade.
        sizes: Widths and heights of the site's pictures.
    """
    rules = [
        f":root{{{_declarations(theme.accent, LIGHT_PAGE)}}}",
        f"@media (prefers-color-scheme:dark){{:root{{{_declarations(theme.accent_dark, DARK_PAGE)}}}}}",
        *(f".{ratio_class(*size)}{{--ratio:calc({size[0]}/{size[1]})}}" for size in sorted(set(sizes))),
    ]
    return "\n".join(rules) + "\n"


def card_colours(theme: Theme) -> CardColours:
    """Return the colours of link previews: the light ones of static/site.css, and the theme's accent."""
    return CardColours(
        page=LIGHT_PAGE,
        mat="#fffefb",
        edge="#dcd5c8",
        ink="#1b1815",
        soft="#5c544b",
        accent=readable(theme.accent, LIGHT_PAGE),
    )


def ratio_class(width_px: int, height_px: int) -> str:
    """Return the CSS class of a picture's aspect ratio."""
    return f"r-{width_px}-{height_px}"


def _declarations(accent: str, page: str) -> str:
    on_accent = max("#ffffff", "#000000", key=lambda text: contrast(text, accent))
    return f"--accent:{accent};--accent-text:{readable(accent, page)};--on-accent:{on_accent}"


def readable(colour: str, page: str) -> str:
    """Return the nearest shade of a colour that is readable as text on the page's colour."""
    goal = max("#ffffff", "#000000", key=lambda text: contrast(text, page))
    shades = (_mix(colour, goal, step / 32) for step in range(33))
    return next(shade for shade in shades if contrast(shade, page) >= TEXT_CONTRAST)


def contrast(one: str, other: str) -> float:
    """Return WCAG's contrast ratio of two hex colours, 1 to 21."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(colour: str) -> list[float]:
    if not _HEX.fullmatch(colour):
        raise BuildError(f"site.theme: want a hex colour, got {colour!r}", fix="write one such as '#c2410c'")
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    return [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]


def _mix(colour: str, goal: str, share: float) -> str:
    if share == 0:
        return colour
    pairs = zip(_channels(colour), _channels(goal), strict=True)
    return "#" + "".join(f"{round(255 * (a + (b - a) * share)):02x}" for a, b in pairs)
