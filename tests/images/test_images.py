"""Picture files, their labels, and sheets of them."""

import io
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from metagan.errors import OptionError
from metagan.images.encode import EXTENSIONS, MOST_SIDE_PX, encode, require_size, write_sheet
from metagan.images.provenance import SOURCE_TYPE, Provenance
from metagan.images.sheet import contact_sheet

LABEL = Provenance('apes "<&>" (StyleGAN2)', seed=4294967295, psi=0.7)
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
SHAPES = [(32, 32, 3), (160, 160, 3), (16, 16, 4), (16, 16, 1)]


def picture(shape: tuple[int, int, int]) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    smooth = np.stack([rows * 3, columns * 2, rows + columns, 255 - columns], axis=2)[:, :, : shape[2]]
    return (smooth % 256).astype(np.uint8)


def xmp_of(image: Image.Image) -> bytes:
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    return packet.encode() if isinstance(packet, str) else packet


@pytest.mark.parametrize("image_format", EXTENSIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_format_carries_its_label_and_gives_the_picture_back(image_format, shape):
    data = encode(picture(shape), image_format, LABEL)
    image = Image.open(io.BytesIO(data))
    assert image.format == image_format.upper()
    assert image.size == (shape[1], shape[0])
    root = ET.fromstring(xmp_of(image).decode().replace("\ufeff", ""))
    assert root.findtext(f".//{IPTC}DigitalSourceType") == SOURCE_TYPE
    assert root.findtext(f".//{IPTC}AISystemUsed") == LABEL.generator
    description = root.find(".//{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    assert description.get("{urn:metagan:xmp:}seed") == "4294967295"
    assert description.get("{urn:metagan:xmp:}psi") == "0.7"
    if shape[2] == 3:
        error = np.asarray(image.convert("RGB")).astype(int) - picture(shape)
        assert np.abs(error).mean() < 4
        if image_format in ("png", "webp") and shape[0] < 128:
            assert not error.any(), "small pictures are lossless, since they are shown enlarged"


def test_the_same_picture_gives_the_same_bytes():
    for image_format in EXTENSIONS:
        assert encode(picture((64, 64, 3)), image_format, LABEL) == encode(
            picture((64, 64, 3)), image_format, LABEL
        )


def test_transparent_pixels_turn_white_in_a_jpeg():
    clear = np.zeros((8, 8, 4), np.uint8)
    image = Image.open(io.BytesIO(encode(clear, "jpeg")))
    assert np.asarray(image).min() >= 254


def test_a_contact_sheet_lays_pictures_out_row_by_row_and_leaves_the_rest_white():
    pictures = [np.full((2, 3, 3), value, np.uint8) for value in (10, 20, 30, 40, 50)]
    sheet = contact_sheet(pictures, len(pictures), columns=3)
    assert sheet.shape == (4, 9, 3)
    assert sheet[::2, ::3, 0].tolist() == [[10, 20, 30], [40, 50, 255]]
    assert contact_sheet(pictures[:1], 1, columns=8).shape == (2, 3, 3)
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([], 0, columns=1)


@pytest.mark.parametrize("image_format", ["webp", "jpeg"])
def test_a_picture_that_its_format_cannot_hold_is_refused_with_both_numbers(image_format):
    most = MOST_SIDE_PX[image_format]
    assert encode(np.zeros((1, most, 3), np.uint8), image_format)
    with pytest.raises(OptionError, match=f"holds at most {most:,} pixels a side, got {most + 1:,}x1"):
        encode(np.zeros((1, most + 1, 3), np.uint8), image_format)


def test_a_sheet_of_small_tiles_keeps_proportions():
    pictures = [np.full((20, 10, channels), 9, np.uint8) for channels in (1, 1)]
    assert contact_sheet(pictures, 2, columns=2, thumbnail=10).shape == (10, 10, 1)
    assert contact_sheet(pictures, 2, columns=2, thumbnail=99).shape == (20, 20, 1)


def test_a_sheet_that_lossy_webp_cannot_hold_is_kept_without_loss_and_says_so(tmp_path, monkeypatch):
    save = Image.Image.save

    def full(image, file, image_format, **options):  # what libwebp says of 27 megapixels of noise
        if options.get("lossless") is False:
            raise ValueError("encoding error 6: PARTITION0_OVERFLOW")
        save(image, file, image_format, **options)

    monkeypatch.setattr(Image.Image, "save", full)
    sheet = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    said = []
    write_sheet(tmp_path / "t.webp", sheet, Provenance("ape", 0, 1.0), said.append)
    with Image.open(tmp_path / "t.webp") as image:
        assert np.array_equal(np.asarray(image), sheet)
    (line,) = said
    assert line.startswith("t.webp: lossy WebP can't hold so much detail (at most 512 KiB")


def test_avif_that_this_pillow_cannot_write_is_refused_before_drawing(monkeypatch):
    monkeypatch.setattr("PIL.features.check", lambda _: False)
    with pytest.raises(OptionError, match="a sheet: this Pillow is built without AVIF"):
        require_size("avif", (1, 1), "a sheet", "choose png")
