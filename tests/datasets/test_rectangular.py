"""Datasets of portraits and films: sizes that networks can be trained on, and pictures fitted to them."""

import io
import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from metagan.cli import metagan
from metagan.datasets.decode import Fit, fit_picture
from metagan.datasets.source import PictureSource
from metagan.errors import DatasetError
from metagan.values import Size

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def striped(width: int, height: int) -> Image.Image:
    """Red, green and blue thirds, from left to right or from top to bottom along the longer side."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for index, colour in enumerate((RED, GREEN, BLUE)):
        if width >= height:
            pixels[:, index * width // 3 : (index + 1) * width // 3] = colour
        else:
            pixels[index * height // 3 : (index + 1) * height // 3] = colour
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("size", "coarsest", "doublings"),
    [
        ((512, 1024), (2, 4), 8),
        ((768, 512), (6, 4), 7),
        ((1024, 576), (16, 9), 6),
        ((640, 512), (5, 4), 7),
        ((256, 256), (4, 4), 6),
        ((4, 4), (4, 4), 0),
    ],
)
def test_networks_begin_with_what_doubles_to_the_size(size, coarsest, doublings):
    size = Size(*size)
    assert (size.coarsest, size.doublings, size.is_trainable) == (coarsest, doublings, True)


@pytest.mark.parametrize("size", [(500, 750), (1080, 1920), (17, 16), (96, 96), (100, 10), (6, 4), (2, 2)])
def test_other_sizes_have_a_trainable_one_near_them(size):
    size = Size(*size)
    assert not size.is_trainable
    near = size.nearest_trainable
    assert near.is_trainable
    assert all(0.5 <= side / wanted <= 2 for side, wanted in zip(near, size, strict=True))


def test_cropping_keeps_the_middle_of_the_proportions():
    fitted = fit_picture(png(striped(90, 30)), Fit(Size(16, 32)))
    assert (fitted.image.size, fitted.cut, fitted.enlarged) == ((16, 32), True, True)
    assert np.unique(np.asarray(fitted.image).reshape(-1, 3), axis=0).tolist() == [list(GREEN)]
    whole = fit_picture(png(striped(60, 120)), Fit(Size(16, 32)))
    assert (whole.cut, whole.enlarged) == (False, False)
    colours = np.asarray(whole.image)[[2, 16, 29], 8]
    assert [tuple(colour) for colour in colours] == [RED, GREEN, BLUE]


def test_padding_keeps_the_whole_picture():
    fitted = fit_picture(png(striped(90, 30)), Fit(Size(48, 32), "pad", (255, 255, 255)))
    pixels = np.asarray(fitted.image)
    assert (fitted.image.size, fitted.cut) == ((48, 32), True)
    assert (pixels[:8] == 255).all()
    assert (pixels[24:] == 255).all()
    assert tuple(pixels[16, 2]) == RED
    assert tuple(pixels[16, 45]) == BLUE


def test_pixel_art_keeps_its_pixels_in_a_rectangle():
    art = Image.fromarray(np.random.default_rng(0).integers(0, 2, (16, 8, 3), np.uint8) * 255)
    fitted = fit_picture(png(art), Fit(Size(16, 32), resample="auto"))
    assert np.array_equal(np.asarray(fitted.image), np.asarray(art).repeat(2, 0).repeat(2, 1))


def test_pack_takes_width_and_height_and_says_so(tmp_path):
    (tmp_path / "in").mkdir()
    for index in range(3):
        striped(60 + index, 120).save(tmp_path / "in" / f"{index}.png")
    command = ["dataset", "pack", str(tmp_path / "in"), "--resolution", "16x32", "--out"]
    run = CliRunner().invoke(
        metagan, [*command, str(tmp_path / "a.zip"), "--workers", "0"], catch_exceptions=False
    )
    assert "3 pictures of 16x32" in run.stdout
    assert "2 cropped to their middle 16x32" in run.stdout
    source = PictureSource(tmp_path / "a.zip")
    assert (source.size, source.resolution, source.pixels(0).shape) == ((16, 32), 32, (3, 32, 16))
    assert (source.facts["width"], source.facts["height"]) == (16, 32)
    run = CliRunner().invoke(metagan, [*command, str(tmp_path / "b.zip"), "--workers", "0", "--json"])
    facts = json.loads(run.stdout)
    assert (facts["resolution"], facts["width"], facts["height"]) == (32, 16, 32)
    with pytest.raises(
        DatasetError, match=r"are 16x32 pixels, but 32x16 was requested\n  fix: ask for 16x32, or run"
    ):
        PictureSource(tmp_path / "a.zip", Size(32, 16))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("48", "want a power of two, got 48; the nearest are 32 and 64"),
        (
            "500x750",
            "want width and height that share a larger power of two, got 500x750; near it is 512x768",
        ),
        ("2x8000", "want sides from 4 to 4096 pixels, got 2x8000"),
        ("big", "want a side in pixels, or WIDTHxHEIGHT, got 'big'"),
    ],
)
def test_sizes_that_no_network_has_are_refused(tmp_path, text, message):
    command = ["dataset", "pack", str(tmp_path), "--out", str(tmp_path / "a.zip"), "--resolution", text]
    run = CliRunner().invoke(metagan, command)
    assert run.exit_code == 2
    assert message in " ".join(run.stderr.split())


def test_a_folder_of_odd_rectangles_is_refused_with_a_size_near_it(tmp_path):
    striped(50, 75).save(tmp_path / "0.png")
    with pytest.raises(
        DatasetError, match=r"0\.png is 50x75 pixels.*\n  fix: run `metagan .* --resolution 48x72`"
    ):
        PictureSource(tmp_path)
