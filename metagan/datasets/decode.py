"""Any picture file's bytes to square RGB pixels.

In this order: guard, decode the first frame, turn as EXIF says, to 8-bit sRGB, alpha over a colour, crop or pad,
resample: with Lanczos, or by whole pixels where pixel art is to stay pixel art.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

from metagan.datasets.store import UnreadableError
from metagan.values import Size

# Formats that Pillow decodes itself: not EPS, which starts Ghostscript, nor formats that only refer to other files.
FORMATS: Final = (
    *("PNG", "JPEG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "PPM", "AVIF", "JPEG2000", "ICO", "ICNS"),
    *("TGA", "PCX", "SGI", "QOI", "DDS", "PSD", "CUR", "MSP", "XBM", "XPM", "IM"),
)
MAX_DECODED_PIXELS: Final = 64 * 2**20
_EXIF_ORIENTATION: Final = 0x0112
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DRAFT_FACTOR: Final = (
    4  # JPEGs are decoded at a fraction of their size that keeps this many pixels per output pixel
)
_LEAST_ART_SIDE: Final = 8  # of pixel art, which has few pixels and few colours
_MOST_ART_SIDE: Final = 128
_MOST_ART_COLOURS: Final = 64
_METADATA_DAMAGE: Final = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    KeyError,
    struct.error,
    ImageCms.PyCMSError,
)


@dataclass(frozen=True)
class Fit:
    """How pictures become one size.

    Args:
        resolution: Their size; the side of squares.
        mode: "crop" keeps the middle; "pad" keeps everything, enlarges nothing, and fills the rest.
        background: Colour behind transparent pixels and in the padding.
        resample: "lanczos"; "nearest" takes whole pixels and enlarges by whole factors; "auto" does that with
            pictures that are pixel art where their size divides `resolution`, and takes Lanczos for others.
    """

    resolution: Size | int
    mode: Literal["crop", "pad"] = "crop"
    background: tuple[int, int, int] = (255, 255, 255)
    resample: Literal["lanczos", "nearest", "auto"] = "lanczos"

    @property
    def size(self) -> Size:
        """Width and height of the results."""
        return Size.of(self.resolution)


@dataclass(frozen=True)
class Fitted:
    """A picture of the size that was asked for.

    Args:
        image: RGB.
        cut: Whether it lost an edge, or gained one: it had other proportions, or was too small to be padded by nothing.
        enlarged: Whether it had fewer pixels before.
    """

    image: Image.Image
    cut: bool
    enlarged: bool


def fit_picture(data: bytes, fit: Fit) -> Fitted:
    """Decode a picture file and give it the size.

    Raises:
        UnreadableError: If it is damaged, not a picture, or too large to decode in memory.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # warnings about sizes, which _guard checks, and about odd but readable metadata
            rgb = _decode(data, fit)
    except UnreadableError:
        raise
    except MemoryError as error:
        raise UnreadableError("not enough memory to decode it") from error
    except Exception as error:  # Pillow's decoders raise all kinds of errors for damaged files
        raise UnreadableError(_reason(error)) from error
    return _fitted(rgb, fit)


def to_rgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Convert a picture of any mode to 8-bit sRGB, with transparent parts over `background`."""
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_eight_bits(image)
    profile = image.info.get("icc_profile")
    if has_transparency(image):
        rgba = image.convert("RGBA")
        flat = Image.new("RGB", rgba.size, background)
        colours = _to_srgb(rgba.convert("RGB"), profile)  # a profile for greyscale does not apply to RGB
        flat.paste(colours, mask=rgba.getchannel("A"))
        return flat
    return _to_srgb(image if image.mode in ("CMYK", "L", "LAB") else image.convert("RGB"), profile)


def _decode(data: bytes, fit: Fit) -> Image.Image:
    with _open(data) as image:
        image.draft(None, fit.size.times(_DRAFT_FACTOR))
        _guard(image)
        image.load()
        return to_rgb(_turn(image), fit.background)


def decode_picture(data: bytes) -> Image.Image:
    """A picture file at its own size: sRGB, RGBA where it has transparency, turned as its EXIF says.

    Raises:
        UnreadableError: If it is damaged, not a picture, or too large to decode in memory.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _open(data) as image:
                _guard(image)
                image.load()
                turned = _turn(image)
                rgb = to_rgb(turned, (0, 0, 0))
                if has_transparency(turned):
                    rgb = turned.convert("RGBA")
                return rgb
    except UnreadableError:
        raise
    except MemoryError as error:
        raise UnreadableError("not enough memory to decode it") from error
    except Exception as error:  # as above
        raise UnreadableError(_reason(error)) from error


def has_transparency(image: Image.Image) -> bool:
    """Whether a picture of any mode has transparent places."""
    return "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La")


def _open(data: bytes) -> Image.Image:
    Image.init()
    known: list[str] = [
        name for name in FORMATS if name in Image.OPEN
    ]  # some builds of Pillow lack AVIF or WebP
    return Image.open(io.BytesIO(data), formats=known)


def _guard(image: Image.Image) -> None:
    pixels = image.width * image.height
    if pixels > MAX_DECODED_PIXELS:
        msg = f"{image.width}x{image.height} pixels; the limit is {MAX_DECODED_PIXELS >> 20} megapixels"
        raise UnreadableError(f"{msg}: reduce its size first")
    if pixels == 0:
        raise UnreadableError(f"{image.width}x{image.height} pixels")


def _turn(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION)
    except _METADATA_DAMAGE:
        return image  # the pixels are complete, only the metadata is damaged
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info = image.info
    return turned


def _to_eight_bits(image: Image.Image) -> Image.Image:
    # 16-bit and 32-bit greys: 16 bits are taken whole; wider or fractional values by the range they seem to use.
    values = np.asarray(image).astype(np.float32)
    clear = image.info.get("transparency")
    top = 65535.0 if image.mode.startswith("I;16") else _range_of(values)
    grey = Image.fromarray(np.round(np.clip(np.nan_to_num(values) / top, 0, 1) * 255).astype(np.uint8))
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


def _range_of(values: NDArray[np.float32]) -> float:
    largest = float(np.nanmax(values, initial=0.0))
    return next((top for top in (1.0, 255.0, 65535.0) if largest <= top), max(largest, 1.0))


def _to_srgb(image: Image.Image, profile: object) -> Image.Image:
    if isinstance(profile, bytes) and profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except _METADATA_DAMAGE:
            converted = (
                None  # a damaged profile, or one for another kind of picture: use the pixels without it
            )
        if converted is not None:
            return converted
    if image.mode == "LAB":
        lab = ImageCms.buildTransform(
            ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
        )
        return ImageCms.applyTransform(image, lab) or image
    return image.convert("RGB")


def _fitted(image: Image.Image, fit: Fit) -> Fitted:
    pixels = _art_pixels(image) if fit.resample != "lanczos" else None
    if fit.mode == "crop":
        cut = image.width * fit.size.height != image.height * fit.size.width
        return Fitted(_cropped(image, fit, pixels), cut, _kept(image, fit.size)[0] < fit.size.width)
    return _padded(image, fit, pixels)


def _kept(image: Image.Image, size: Size) -> tuple[float, float]:
    """Width and height of the largest part of a picture that has the aspect ratio of a size."""
    if image.width * size.height <= image.height * size.width:
        return float(image.width), image.width * size.height / size.width
    return image.height * size.width / size.height, float(image.height)


def _cropped(image: Image.Image, fit: Fit, pixels: Image.Image | None) -> Image.Image:
    size, how = fit.size, Image.Resampling.NEAREST
    if pixels is not None and all(
        side % kept == 0 for side, kept in zip(size, _kept(pixels, size), strict=True)
    ):
        image = pixels
        width, height = _kept(image, size)
    elif fit.resample == "nearest":
        image = pixels or image
        width, height = _kept(image, size)
        if width < size.width:  # the next whole factor, and the overhang is cut
            factor = math.ceil(size.width / width)
            width, height = size.width / factor, size.height / factor
    else:
        width, height = _kept(image, size)
        how = Image.Resampling.LANCZOS
    left, top = (image.width - width) / 2, (image.height - height) / 2
    return image.resize(size, how, box=(left, top, left + width, top + height))


def _padded(image: Image.Image, fit: Fit, pixels: Image.Image | None) -> Fitted:
    axis = (
        0 if image.width * fit.size.height >= image.height * fit.size.width else 1
    )  # the one that fills the size
    side, longest = fit.size[axis], image.size[axis]
    size, how = image.size, Image.Resampling.LANCZOS
    by_pixels = fit.resample == "nearest"
    if pixels is not None and longest > side >= pixels.size[axis]:
        image, longest, by_pixels = pixels, pixels.size[axis], True
    if longest > side:
        size = max(1, round(image.width * side / longest)), max(1, round(image.height * side / longest))
        how = Image.Resampling.NEAREST if fit.resample == "nearest" else how
    elif by_pixels:
        factor = side // longest
        size, how = (image.width * factor, image.height * factor), Image.Resampling.NEAREST
    padded = Image.new("RGB", fit.size, fit.background)
    scaled = image if size == image.size else image.resize(size, how)
    padded.paste(scaled, ((fit.size.width - size[0]) // 2, (fit.size.height - size[1]) // 2))
    return Fitted(padded, size != fit.size, size[0] > image.width)


def _art_pixels(image: Image.Image) -> Image.Image | None:
    """A picture of pixel art at one pixel a pixel; None of a picture that is none.

    It is when it consists of squares of several pixels, as enlarged pixel art does, or is small and has few colours.
    """
    array = np.asarray(image)
    columns = np.flatnonzero((array[:, 1:] != array[:, :-1]).any(axis=(0, 2))) + 1
    rows = np.flatnonzero((array[1:] != array[:-1]).any(axis=(1, 2))) + 1
    factor = int(np.gcd.reduce(np.concatenate([columns, rows, [image.width, image.height]])))
    if factor > 1 and max(image.size) // factor >= _LEAST_ART_SIDE:
        return image.resize((image.width // factor, image.height // factor), Image.Resampling.NEAREST)
    small = max(image.size) <= _MOST_ART_SIDE
    return image if small and image.getcolors(_MOST_ART_COLOURS) is not None else None


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture of a known format"
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__
