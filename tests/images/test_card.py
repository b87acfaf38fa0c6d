"""Cards for link previews: the picture whole beside words that fit, or alone where the font lacks a letter."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from metagan.images.card import CardColours, can_write, draw_card, encode_card
from metagan.images.provenance import Provenance

COLOURS = CardColours("#ffffff", "#eeeeee", "#cccccc", "#000000", "#000000", "#ff0000")
LINES = ("Seed 42, psi 0.7", "Blobs", "example.org/blobs")


def card(title: str, picture: np.ndarray | None = None, lines: tuple[str, str, str] = LINES) -> np.ndarray:
    picture = np.full((64, 64, 3), (0, 0, 255), np.uint8) if picture is None else picture
    return draw_card(picture, (("This ", False), (title, True), (" Does Not Exist", False)), lines, COLOURS)


def places(drawn: np.ndarray, colour: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    return (drawn == colour).all(axis=2).nonzero()


def test_small_pictures_keep_their_pixels():
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    drawn = card("Blob", picture)
    assert drawn.shape == (630, 1200, 3)
    assert np.array_equal(drawn[315 - 224 + 3 : 315 + 224 : 7, 315 - 224 + 3 : 315 + 224 : 7], picture)


@pytest.mark.parametrize(("height", "width", "channels"), [(512, 256, 3), (64, 128, 1), (300, 300, 4)])
def test_any_shape_and_channels_fit(height, width, channels):
    drawn = card("Blob", np.full((height, width, channels), 200, np.uint8))
    tone = 200 if channels != 4 else round((200 * 200 + 0xEE * 55) / 255)
    rows, columns = places(drawn[:, :600], (tone,) * 3)
    shown = (columns.max() - columns.min() + 1) / (rows.max() - rows.min() + 1)
    assert shown == pytest.approx(width / height, rel=0.01)


@pytest.mark.parametrize(
    "title", ["Ape", "Höllenhundwelpengeschirrspülmaschine", "Ωμέγα Ёлка", "a" * 120, "ape " * 60]
)
def test_words_stay_within_the_card(title):
    drawn = card(title, lines=("Seed 4294967295, psi 0.7", "A title " * 20, "example.org/" + "a" * 200))
    _, columns = places(drawn[:, 600:], (255, 255, 255))
    assert len(columns)
    assert (drawn[:, 1151:] == 255).all()  # the margin is free
    assert (drawn[:55] == 255)[:, 600:].all()
    assert len(places(drawn, (0, 0, 0))[0])


def test_the_title_has_the_accent():
    rows, columns = places(card("Blob"), (255, 0, 0))
    assert len(rows) > 100 and columns.min() > 600


@pytest.mark.parametrize("title", ["サル", "قرد", "🦧"])
def test_without_the_letters_the_picture_stands_alone_in_the_middle(title):
    assert not can_write(title)
    drawn = card(title)
    _, columns = places(drawn, (0, 0, 255))
    assert columns.min() + columns.max() == 1199
    assert not len(places(drawn, (0, 0, 0))[0])


def test_the_file_says_where_its_picture_comes_from():
    data = encode_card(card("Blob"), Provenance("blobs (StyleGAN2)", 42, 0.7))
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == ("JPEG", (1200, 630))
        assert b'metagan:seed="42"' in image.info["xmp"]
