"""Nasty pictures, made here, through decoding."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from metagan.datasets.decode import MAX_DECODED_PIXELS, Fit, decode_picture, depth_of, fit_picture
from metagan.datasets.store import UnreadableError
from tests.datasets.build import encoded

RED, GREEN, BLUE = (250, 10, 10), (10, 240, 10), (10, 10, 250)
FIT = Fit(8)


def plain(colour, mode="RGB", size=(16, 16)):
    return Image.new(mode, size, colour)


def fitted(data, fit=FIT):
    return np.asarray(fit_picture(data, fit).image).astype(int)


def quadrants() -> Image.Image:
    """Red top left, green top right, blue below."""
    image = plain(BLUE)
    image.paste(RED, (0, 0, 8, 8))
    image.paste(GREEN, (8, 0, 16, 8))
    return image


def near(pixel, colour, by=12):
    return np.abs(np.asarray(pixel) - colour).max() <= by


def test_a_cmyk_jpeg_keeps_its_colours():
    data = encoded(plain((0, 255, 255, 0), "CMYK"), "JPEG", quality=95)
    assert Image.open(io.BytesIO(data)).mode == "CMYK"
    assert near(fitted(data)[4, 4], (255, 0, 0))


def test_a_palette_animation_with_transparency_gives_its_first_frame_over_the_background():
    frames = []
    for colour in (RED, GREEN):
        frame = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
        frame.paste((*colour, 255), (0, 0, 8, 16))
        frames.append(frame)
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=50, disposal=2)
    picture = fitted(out.getvalue(), Fit(8, background=(1, 2, 200)))
    assert near(picture[4, 1], RED)
    assert near(picture[4, 6], (1, 2, 200))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_alpha_lies_over_the_chosen_colour(mode):
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 128))
    data = encoded(image.convert(mode), "TIFF" if mode == "PA" else "PNG") if mode != "PA" else pa_png()
    assert near(fitted(data, Fit(8, background=(200, 100, 0)))[3, 3], (100, 50, 0), 2)


def pa_png():
    palette = Image.new("P", (16, 16), 0)
    palette.putpalette([0, 0, 0])
    return encoded(palette, "PNG", transparency=bytes([128]))


def test_one_transparent_colour_lies_over_the_chosen_colour():
    data = encoded(plain(RED), "PNG", transparency=RED)
    assert near(fitted(data, Fit(8, background=BLUE))[3, 3], BLUE)


def test_sixteen_bit_grey_is_scaled_and_not_cut_off():
    values = np.full((16, 16), 32768, np.uint16)
    assert near(fitted(encoded(Image.fromarray(values), "PNG"))[4, 4], (128, 128, 128), 1)


def test_sixteen_bit_grey_with_a_transparent_value_is_seen_through():
    values = np.full((16, 16), 513, np.uint16)
    data = encoded(Image.fromarray(values), "PNG", transparency=513)
    assert near(fitted(data)[4, 4], (255, 255, 255), 1)


def test_sixteen_bit_colour_is_read():
    rows = b"".join(b"\0" + struct.pack(">3H", 65535, 32768, 0) * 16 for _ in range(16))
    header = struct.pack(">2I5B", 16, 16, 16, 2, 0, 0, 0)
    assert near(fitted(png_of(header, rows))[4, 4], (255, 128, 0), 1)


def png_of(header, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    magic = b"\x89PNG\r\n\x1a\n"
    return magic + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("scale", [1.0, 255.0, 65535.0])
def test_a_tiff_of_fractions_is_read_by_the_range_it_uses(scale):
    values = np.full((16, 16), 0.5 * scale, np.float32)
    values[0, 0] = scale
    assert near(fitted(encoded(Image.fromarray(values), "TIFF"))[6, 6], (128, 128, 128), 1)


def test_numbers_that_are_none_are_black():
    values = np.full((16, 16), np.nan, np.float32)
    values[:8] = 1
    picture = fitted(encoded(Image.fromarray(values), "TIFF"))
    assert near(picture[1, 4], (255, 255, 255), 1)
    assert near(picture[6, 4], (0, 0, 0), 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_rotation_is_undone(orientation, image_format):
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[
        orientation
    ]  # the inverse of what a reader does
    image = quadrants() if undo is None else quadrants().transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = fitted(
        encoded(image, image_format, exif=exif, **({"quality": 95} if image_format != "TIFF" else {}))
    )
    assert near(picture[1, 1], RED, 40)
    assert near(picture[1, 6], GREEN, 40)
    assert near(picture[6, 3], BLUE, 40)


def test_damaged_exif_costs_the_rotation_only():
    data = encoded(quadrants(), "JPEG", exif=b"Exif\0\0garbage", quality=95)
    assert near(fitted(data)[1, 1], RED, 40)


def test_a_colour_profile_is_honoured_and_a_damaged_one_left_aside():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (lab, srgb, b"garbage"):
        assert near(fitted(encoded(plain(RED), "PNG", icc_profile=profile))[4, 4], RED, 3)
    swapped = swap_red_and_blue(srgb)
    assert near(fitted(encoded(plain(RED), "PNG", icc_profile=swapped))[4, 4], RED[::-1], 40)


def test_a_colour_profile_holds_beside_transparency_too():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    clear = plain(RED).convert("RGBA")
    clear.putalpha(200)
    pixel = decode_picture(encoded(clear, "PNG", icc_profile=swap_red_and_blue(srgb))).getpixel((4, 4))
    assert near(pixel[:3], RED[::-1], 40)
    assert pixel[3] == 200


def swap_red_and_blue(profile):
    return profile.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")


@pytest.mark.parametrize(
    ("mode", "colour", "image_format"),
    [
        ("1", 1, "PNG"),
        ("L", 255, "BMP"),
        ("P", 0, "GIF"),
        ("LAB", (255, 128, 128), "TIFF"),
        ("YCbCr", (255, 128, 128), "TIFF"),
    ],
)
def test_other_modes_become_rgb(mode, colour, image_format):
    image = Image.new(mode, (16, 16), colour)
    if mode == "P":
        image.putpalette([255, 255, 255])
    assert near(fitted(encoded(image, image_format))[4, 4], (255, 255, 255), 3)


def test_crop_keeps_the_middle_and_pad_keeps_everything():
    wide = plain(BLUE, size=(48, 16))
    wide.paste(RED, (16, 0, 32, 16))
    crop = fit_picture(encoded(wide, "PNG"), Fit(8))
    assert crop.cut
    assert near(np.asarray(crop.image).astype(int)[4, 4], RED)
    assert near(np.asarray(crop.image).astype(int)[4, 1], RED, 60)
    pad = np.asarray(fit_picture(encoded(wide, "PNG"), Fit(24, "pad", GREEN)).image).astype(int)
    assert near(pad[2, 12], GREEN, 0)
    assert near(pad[21, 12], GREEN, 0)
    assert near(pad[12, 2], BLUE)
    assert near(pad[12, 12], RED)


def test_a_sliver_is_padded_and_not_lost():
    picture = fitted(encoded(plain(RED, size=(1, 500)), "PNG"), Fit(8, "pad", BLUE))
    assert near(picture[4, 3], RED)
    assert near(picture[4, 2], BLUE, 0)


def test_enlarging_is_noted():
    assert fit_picture(encoded(plain(RED, size=(4, 4)), "PNG"), FIT).enlarged
    assert not fit_picture(encoded(plain(RED, size=(8, 20)), "PNG"), FIT).enlarged


def art(side: int, seed: int = 0) -> Image.Image:
    """Pixel art: random pixels of four colours."""
    palette = np.array([[0, 0, 0], [255, 0, 0], [0, 200, 0], [250, 250, 250]], np.uint8)
    return Image.fromarray(palette[np.random.default_rng(seed).integers(0, 4, (side, side))])


def enlarged(image: Image.Image, factor: int) -> Image.Image:
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def test_padding_centres_a_small_picture_without_enlarging_it():
    image = art(24)
    for resample in ("lanczos", "auto"):
        result = fit_picture(encoded(image, "PNG"), Fit(32, "pad", BLUE, resample))
        assert np.array_equal(np.asarray(result.image)[4:28, 4:28], np.asarray(image))
        assert near(np.asarray(result.image).astype(int)[3, 16], BLUE, 0)
        assert result.cut
        assert not result.enlarged


def test_padding_by_whole_pixels_enlarges_by_whole_factors():
    result = fit_picture(encoded(art(24), "PNG"), Fit(64, "pad", BLUE, "nearest"))
    assert np.array_equal(np.asarray(result.image)[8:56, 8:56], np.asarray(enlarged(art(24), 2)))
    assert result.enlarged


@pytest.mark.parametrize("shown_px", [16, 64, 128, 512])
def test_pixel_art_stays_pixel_art_at_whatever_size_it_comes(shown_px):
    image = enlarged(art(16), shown_px // 16)
    result = fit_picture(encoded(image, "PNG"), Fit(64, resample="auto"))
    assert np.array_equal(np.asarray(result.image), np.asarray(enlarged(art(16), 4)))


def test_nearest_cuts_the_overhang_of_the_next_whole_factor():
    result = fit_picture(encoded(art(24), "PNG"), Fit(64, resample="nearest"))
    assert np.array_equal(np.asarray(result.image), np.asarray(enlarged(art(24), 3))[4:68, 4:68])


def test_auto_takes_lanczos_for_photographs_and_sizes_that_divide_nothing():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8))
    for image in (noise, art(100)):
        by_auto = fitted(encoded(image, "PNG"), Fit(64, resample="auto"))
        assert np.array_equal(by_auto, fitted(encoded(image, "PNG"), Fit(64)))


def test_a_reduction_shows_no_moire():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[::2] = 255
    picture = fitted(encoded(Image.fromarray(stripes), "PNG"), Fit(32))
    assert np.abs(picture[4:-4, 4:-4] - 127.5).max() < 4


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a picture"),
        (b"hello, I am a text file", "not a picture"),
        (encoded(quadrants().resize((200, 200)), "JPEG")[:1500], "truncated"),
        (encoded(quadrants(), "PNG")[:70], "truncated|broken|unrecognized"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    ],
)
def test_what_cannot_be_read_says_why(data, reason):
    with pytest.raises(UnreadableError, match=reason):
        fit_picture(data, FIT)


@pytest.mark.parametrize("side", [60_000, 12_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side):
    assert side * side > MAX_DECODED_PIXELS
    header = struct.pack(">2I5B", side, side, 8, 0, 0, 0, 0)
    with pytest.raises(UnreadableError, match="pixels"):
        fit_picture(png_of(header, b"\0" * 1000), FIT)


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size():
    data = encoded(plain((90, 120, 200), size=(9000, 9000)), "JPEG", quality=50)
    assert MAX_DECODED_PIXELS < 9000 * 9000
    assert near(fitted(data)[4, 4], (90, 120, 200))


def deep_png(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel; Pillow writes grey ones only."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[values.shape[2]]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png_of(struct.pack(">2I5B", values.shape[1], values.shape[0], 16, kind, 0, 0, 0), rows)


def ramp(most: int, channels: int) -> np.ndarray:
    values = np.linspace(0, most, 64).reshape(8, 8, 1).round().astype(np.uint16).repeat(channels, 2)
    if channels in (2, 4):
        values[:, :, -1] = 65535
    return values


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [8, 10, 12, 14])
def test_a_sensors_bits_in_a_file_of_sixteen_are_noticed_and_stretched(depth, channels):
    if (depth, channels) == (8, 2):
        return  # Pillow offers the high bytes of grey with alpha only, and these are 0
    data = deep_png(ramp((1 << depth) - 1, channels))
    assert depth_of(data, FIT) == depth
    assert fit_picture(data, FIT).depth == depth
    bright = fitted(data, Fit(8, depth=depth))
    want = np.linspace(0, 255, 64).reshape(8, 8, 1)
    if channels != 2:
        assert np.abs(bright - want).max() <= 1
    else:
        assert np.abs(bright - want).max() <= 1 + 255 >> (depth - 8)
    darker = fitted(deep_png(ramp((1 << depth) // 4, channels)), Fit(8, depth=depth))
    assert darker.max() < 90, "a darker picture among them stays darker"


def test_full_sixteen_bits_and_eight_bits_are_left_as_they_are():
    full = deep_png(ramp(65535, 3))
    assert depth_of(full, FIT) == 16
    assert np.array_equal(fitted(full), fitted(full, Fit(8, depth=12)))
    assert depth_of(encoded(quadrants(), "PNG"), FIT) is None
    assert fit_picture(deep_png(ramp(0, 3)), FIT).depth is None
    tiff = encoded(Image.fromarray(ramp(4095, 1)[:, :, 0]), "TIFF")
    assert fitted(tiff, Fit(8, depth=12)).max() == 255


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "empty"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 500, "HEIC"),
        (b"\xff\x0a" + b"\0" * 50, "JPEG XL"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"\n<!DOCTYPE html><html>429</html>", "web page"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x20ftypisom\0\0\0\0isomiso2", "film"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_what_people_take_for_pictures_is_named(data, named):
    with pytest.raises(UnreadableError, match=named):
        fit_picture(data, FIT)


def test_a_heic_picture_is_read_where_pillow_heif_is_installed(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    data = encoded(plain(RED), "HEIF")
    assert near(fitted(data)[4, 4], RED, 20)


def test_the_limit_of_pixels_can_be_raised_and_names_both_numbers():
    wide = encoded(plain(120, "L", (20_000, 4_000)), "PNG")
    with pytest.raises(
        UnreadableError, match=r"20000x4000 pixels: at most 64 megapixels, got 77; raise --max-meg"
    ):
        fit_picture(wide, FIT)
    assert fit_picture(wide, Fit(8, max_megapixels=77)).image.size == (8, 8)


@pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow is built without JPEG 2000")
def test_a_large_jpeg_2000_is_decoded_at_a_fraction_of_its_size():
    data = encoded(plain(RED, size=(2048, 1024)), "JPEG2000")
    assert near(fitted(data, Fit(8, max_megapixels=1))[4, 4], RED)


def test_stretching_keeps_the_whole_picture():
    image = plain(BLUE, size=(32, 16))
    image.paste(RED, (0, 0, 16, 16))
    result = fit_picture(encoded(image, "PNG"), Fit(8, "stretch"))
    array = np.asarray(result.image).astype(int)
    assert near(array[4, 1], RED) and near(array[4, 6], BLUE) and result.cut
    art = fit_picture(encoded(image, "PNG"), Fit(64, "stretch", resample="nearest"))
    assert len(art.image.getcolors()) == 2


@pytest.mark.parametrize("mode", ["crop", "pad", "stretch"])
def test_alpha_is_kept_on_request_without_fringes(mode):
    image = Image.new("RGBA", (32, 16), (0, 255, 0, 0))  # a hidden green
    image.paste((*RED, 255), (8, 0, 24, 16))
    kept = fit_picture(encoded(image, "PNG"), Fit(8, mode, alpha="keep")).image
    array = np.asarray(kept).astype(int)
    assert kept.mode == "RGBA"
    assert near(array[4, 4], (*RED, 255))
    visible = array[array[:, :, 3] > 0]
    assert visible[:, 1].max() < 40, "colours of transparent pixels don't bleed in"
    opaque = fit_picture(encoded(quadrants(), "JPEG"), Fit(8, mode, alpha="keep")).image
    assert opaque.mode == "RGBA" and opaque.getpixel((4, 4))[3] == 255
