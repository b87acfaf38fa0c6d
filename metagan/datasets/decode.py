"""Any picture file's bytes to square RGB pixels.

In this order: guard, decode the first frame, turn as EXIF says, to 8-bit sRGB, alpha over a colour, crop or pad,
resample with Lanczos.
"""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

from metagan.datasets.store import UnreadableError

# Formats that Pillow reads itself; not EPS, which starts Ghostscript, nor formats that only name other files.
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
    4  # a JPEG is decoded at a fraction of its size while that leaves so many pixels for one
)
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
    """How pictures are made square.

    Args:
        resolution: The side in pixels.
        mode: "crop" keeps the middle square, "pad" keeps everything and fills the rest.
        background: What shows through transparent pixels, and fills what "pad" adds.
    """

    resolution: int
    mode: Literal["crop", "pad"] = "crop"
    background: tuple[int, int, int] = (255, 255, 255)


@dataclass(frozen=True)
class Fitted:
    """A picture made square.

    Args:
        image: RGB, resolution x resolution.
        cut: Whether it wasn't square, so that it lost or gained an edge.
        enlarged: Whether it had fewer pixels than it has now.
    """

    image: Image.Image
    cut: bool
    enlarged: bool


def fit_picture(data: bytes, fit: Fit) -> Fitted:
    """Decode a picture file and make it square.

    Raises:
        UnreadableError: It is damaged, no picture, or so large that decoding could exhaust the memory.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which _guard judges, and of odd but readable metadata
            rgb = _decode(data, fit)
    except UnreadableError:
        raise
    except MemoryError as error:
        raise UnreadableError("not enough memory to decode it") from error
    except Exception as error:  # Pillow's decoders raise anything on damaged files; all mean the same
        raise UnreadableError(_reason(error)) from error
    return _squared(rgb, fit)


def to_rgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """A picture of any mode as 8-bit sRGB, with its transparent parts over `background`."""
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_eight_bits(image)
    profile = image.info.get("icc_profile")
    if has_transparency(image):
        rgba = image.convert("RGBA")
        flat = Image.new("RGB", rgba.size, background)
        colours = _to_srgb(
            rgba.convert("RGB"), profile
        )  # a profile for greys fits no RGB, and is left aside there
        flat.paste(colours, mask=rgba.getchannel("A"))
        return flat
    return _to_srgb(image if image.mode in ("CMYK", "L", "LAB") else image.convert("RGB"), profile)


def _decode(data: bytes, fit: Fit) -> Image.Image:
    with _open(data) as image:
        image.draft(None, (fit.resolution * _DRAFT_FACTOR, fit.resolution * _DRAFT_FACTOR))
        _guard(image)
        image.load()
        return to_rgb(_turn(image), fit.background)


def decode_picture(data: bytes) -> Image.Image:
    """A picture file at its own size: sRGB, RGBA where it has transparency, turned as its EXIF says.

    Raises:
        UnreadableError: It is damaged, no picture, or so large that decoding could exhaust the memory.
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
        msg = f"{image.width}x{image.height} pixels; the most is {MAX_DECODED_PIXELS >> 20} megapixels"
        raise UnreadableError(f"{msg}: make it smaller first")
    if pixels == 0:
        raise UnreadableError(f"{image.width}x{image.height} pixels")


def _turn(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION)
    except _METADATA_DAMAGE:
        return image  # the pixels are whole, only what is said of them isn't
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
                None  # a damaged profile, or one for another kind of picture: read the numbers as they are
            )
        if converted is not None:
            return converted
    if image.mode == "LAB":
        lab = ImageCms.buildTransform(
            ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
        )
        return ImageCms.applyTransform(image, lab) or image
    return image.convert("RGB")


def _squared(image: Image.Image, fit: Fit) -> Fitted:
    width, height = image.size
    side = fit.resolution
    cut = width != height
    if fit.mode == "crop":
        kept = min(width, height)
        left, top = (width - kept) / 2, (height - kept) / 2
        square = image.resize(
            (side, side), Image.Resampling.LANCZOS, box=(left, top, left + kept, top + kept)
        )
        return Fitted(square, cut, kept < side)
    longest = max(width, height)
    size = (max(1, round(width * side / longest)), max(1, round(height * side / longest)))
    square = Image.new("RGB", (side, side), fit.background)
    scaled = image.resize(size, Image.Resampling.LANCZOS)
    square.paste(scaled, ((side - size[0]) // 2, (side - size[1]) // 2))
    return Fitted(square, cut, longest < side)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture of a known format"
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__
