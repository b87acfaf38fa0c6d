"""Draws cards for link previews: a picture in its mat, and beside it a headline and small lines, 1200x630 pixels.

1200x630 is what the services that show previews of links ask for; other shapes are cropped. Pages draw the same card
for visitors (templates/static/card.js), in the letters of their own machines.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from metagan.images.encode import to_image
from metagan.images.provenance import Provenance
from metagan.values import Size

CARD_VERSION: Final = 1  # part of every card's key; increase it when the same words would give other bytes
CARD_SIZE: Final = Size(1200, 630)
EDGE_PX: Final = 40
BOX_PX: Final = 550  # side of the square that holds a picture and its mat
MAT: Final = 0.05  # of the box, on each side
CRISP_BELOW_PX: Final = 128  # smaller pictures keep their pixels
WORDS_AT: Final = (640, 60)
WORDS_SIZE: Final = (510, 340)
LETTERS: Final = (84, 20)  # largest and smallest height of the headline
LINE: Final = 1.08
SMALL: Final = (26, 30, 22)

Font = ImageFont.FreeTypeFont


@dataclass(frozen=True)
class CardColours:
    """Colours as "#rrggbb"."""

    page: str
    mat: str
    edge: str
    ink: str
    soft: str
    accent: str


def draw_card(
    picture: NDArray[np.uint8],
    headline: Sequence[tuple[str, bool]],
    lines: tuple[str, str, str],
    colours: CardColours,
) -> NDArray[np.uint8]:
    """Draw a picture's card.

    Args:
        picture: [h, w, ch]: grey, RGB or RGBA.
        headline: Its parts, each with whether it has the accent's colour.
        lines: Facts about the picture, the site's title, and its address.
        colours: Of the card.

    Returns:
        RGB [630, 1200, 3]. If the font lacks a letter of the words, the picture is in the middle without any.
    """
    canvas = Image.new("RGB", (CARD_SIZE.width, CARD_SIZE.height), colours.page)
    pen = ImageDraw.Draw(canvas)
    has_words = all(map(can_write, ["".join(text for text, _ in headline), *lines]))
    left = EDGE_PX if has_words else (CARD_SIZE.width - BOX_PX) // 2
    _hang(canvas, pen, to_image(picture), left, colours)
    if has_words:
        _write_headline(pen, headline, colours)
        _write_lines(pen, lines, colours)
    return np.asarray(canvas)


def encode_card(card: NDArray[np.uint8], label: Provenance) -> bytes:
    """Encode a card as JPEG, which every service that shows previews takes.

    Args:
        card: RGB [630, 1200, 3].
        label: Provenance of its picture, to write into the file as XMP.
    """
    out = io.BytesIO()
    Image.fromarray(card).save(out, "jpeg", quality=85, optimize=True, xmp=label.xmp())
    return out.getvalue()


@lru_cache(maxsize=4096)
def can_write(text: str) -> bool:
    """Whether the cards' font has every letter of a text: those of Latin, Greek and Cyrillic scripts."""
    missing = bytes(_font(20).getmask("\uffff"))
    return all(char == " " or bytes(_font(20).getmask(char)) != missing for char in set(text))


@cache
def _font(height_px: int) -> Font:
    name = "SourceSerifPro-Regular.otf"
    file = resources.files("font_source_serif_pro") / "files" / name
    return ImageFont.truetype(io.BytesIO(file.read_bytes()), height_px, layout_engine=ImageFont.Layout.BASIC)


def _hang(
    canvas: Image.Image, pen: ImageDraw.ImageDraw, picture: Image.Image, left: int, colours: CardColours
) -> None:
    margin = round(BOX_PX * MAT)
    inner = BOX_PX - 2 * margin
    longest = max(picture.size)
    is_crisp = longest < CRISP_BELOW_PX
    scale = inner // longest if is_crisp else inner / longest
    size = (round(picture.width * scale), round(picture.height * scale))
    how = Image.Resampling.NEAREST if is_crisp else Image.Resampling.LANCZOS
    shown = picture.convert("RGBA").resize(size, how)
    x, y = left + (BOX_PX - size[0]) // 2, (CARD_SIZE.height - size[1]) // 2
    mat = (x - margin, y - margin, x + size[0] + margin - 1, y + size[1] + margin - 1)
    pen.rectangle(mat, fill=colours.mat, outline=colours.edge, width=2)
    canvas.paste(shown, (x, y), shown)


def _write_headline(
    pen: ImageDraw.ImageDraw, headline: Sequence[tuple[str, bool]], colours: CardColours
) -> None:
    words = [(word, accented) for text, accented in headline for word in text.split()]
    height, lines = next(
        (height, lines)
        for height in range(LETTERS[0], LETTERS[1] - 1, -4)
        if (lines := _wrapped(words, height)) is not None or height == LETTERS[1]
    )
    font = _font(height)
    y = float(WORDS_AT[1])
    for line in lines or [[(_cut(" ".join(word for word, _ in words), LETTERS[1]), False)]]:
        x = float(WORDS_AT[0])
        for word, accented in line:
            pen.text((x, y), word, colours.accent if accented else colours.ink, font)
            x += font.getlength(f"{word} ")
        y += height * LINE


def _wrapped(words: Sequence[tuple[str, bool]], height_px: int) -> list[list[tuple[str, bool]]] | None:
    """The lines of words of a height; None if they don't fit."""
    font = _font(height_px)
    lines: list[list[tuple[str, bool]]] = []
    for word in words:
        longer = [*lines[-1], word] if lines else [word]
        if lines and font.getlength(" ".join(each for each, _ in longer)) <= WORDS_SIZE[0]:
            lines[-1] = longer
        elif font.getlength(word[0]) <= WORDS_SIZE[0]:
            lines.append([word])
        else:
            return None
    return lines if len(lines) * height_px * LINE <= WORDS_SIZE[1] else None


def _write_lines(pen: ImageDraw.ImageDraw, lines: tuple[str, str, str], colours: CardColours) -> None:
    y = CARD_SIZE.height - 60.0
    inks = (colours.soft, colours.ink, colours.soft)
    for text, ink, height in reversed(list(zip(lines, inks, SMALL, strict=True))):
        pen.text((WORDS_AT[0], y), _cut(text, height), ink, _font(height), anchor="ls")
        y -= height * 1.5


def _cut(text: str, height_px: int) -> str:
    """A line as far as it fits."""
    font, shown = _font(height_px), text
    while len(shown) > 1 and font.getlength(shown) > WORDS_SIZE[0]:
        shown = f"{shown[:-2].rstrip()}…"
    return shown
