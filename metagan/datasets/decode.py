"""Any picture file's bytes to square RGB or RGBA pixels.

In this order: guard, decode the first frame, stretch 16-bit values, turn as EXIF says, to 8-bit sRGB, alpha over a
colour, crop, pad or stretch, resample: with Lanczos, or by whole pixels where pixel art is to stay pixel art.
"""

from __future__ import annotations

import io
import math
import struct
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

from metagan.datasets.store import UnreadableError
from metagan.values import Size

# Formats that Pillow decodes itself: not EPS, which starts Ghostscript, nor formats that only refer to other files.
FORMATS: Final = (
    *("PNG", "JPEG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "PPM", "AVIF", "JPEG2000", "ICO", "ICNS"),
    *("TGA", "PCX", "SGI", "QOI", "DDS", "PSD", "CUR", "MSP", "XBM", "XPM", "IM"),
    "HEIF",  # by pillow-heif
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
_HALVINGS: Final = 5  # of a JPEG 2000's size, as many as its encoders prepare by default
_DEPTHS: Final = (8, 10, 12, 14, 16)  # bits a value, of sensors and of files
_HEIC_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_OTHERS: Final = (  # how files begin that people take for pictures
    (b"", "it is empty"),
    (b"\xff\x0a", "it is JPEG XL: save it as PNG"),
    (b"\0\0\0\x0cJXL ", "it is JPEG XL: save it as PNG"),
    (b"%PDF", "it is a PDF: save its pictures as PNG"),
    (b"%!PS", "it is PostScript: save it as PNG"),
    (b"version https://git-lfs", "it is a pointer of Git LFS: run `git lfs pull`"),
    (b"PK\x03\x04", "it is a zip: name it alone, or unpack it"),
    (b"\x1aE\xdf\xa3", "it is a film"),
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
        mode: "crop" keeps the middle; "pad" keeps everything, enlarges nothing, and fills the rest; "stretch" keeps
            everything and changes the proportions.
        background: Colour behind transparent pixels and in the padding.
        resample: "lanczos"; "nearest" takes whole pixels and enlarges by whole factors; "auto" does that with
            pictures that are pixel art where their size divides `resolution`, and takes Lanczos for others.
        alpha: "over" the background, or "keep" it as a fourth channel, of opaque pictures too.
        depth: 16-bit files that use at most this many bits are brightened to the full range; 0 for none.
        max_megapixels: The largest picture to decode, in 2^20 pixels; JPEGs count at the size they are decoded at.
    """

    resolution: Size | int
    mode: Literal["crop", "pad", "stretch"] = "crop"
    background: tuple[int, int, int] = (255, 255, 255)
    resample: Literal["lanczos", "nearest", "auto"] = "lanczos"
    alpha: Literal["over", "keep"] = "over"
    depth: int = 0
    max_megapixels: int = MAX_DECODED_PIXELS >> 20

    @property
    def size(self) -> Size:
        """Width and height of the results."""
        return Size.of(self.resolution)


@dataclass(frozen=True)
class Fitted:
    """A picture of the size that was asked for.

    Args:
        image: RGB or RGBA.
        cut: Whether it lost an edge, or gained one, or its proportions: it had others, or was too small to be padded
            by nothing.
        enlarged: Whether it had fewer pixels before.
        depth: Of a 16-bit file, how many bits its values use: 8, 10, 12, 14 or 16; None for other files.
    """

    image: Image.Image
    cut: bool
    enlarged: bool
    depth: int | None = None


def fit_picture(data: bytes, fit: Fit) -> Fitted:
    """Decode a picture file and give it the size.

    Raises:
        UnreadableError: If it is damaged, not a picture, or too large to decode in memory.
    """
    with _reading(data):
        pixels, depth = _decode(data, fit)
    return _fitted(pixels, fit, depth)


def depth_of(data: bytes, fit: Fit) -> int | None:
    """Of a 16-bit file, how many bits its values use: 8, 10, 12, 14 or 16; None for other files and black ones.

    Raises:
        UnreadableError: As `fit_picture`.
    """
    with _reading(data), _open(data) as image:
        if not _is_deep(image):
            return None
        _guard(image, fit.max_megapixels)
        image.load()
        return _depth(image, data)


@contextmanager
def _reading(data: bytes) -> Iterator[None]:
    """Turn whatever Pillow raises into UnreadableError; its own limit of pixels and its warnings are off."""
    most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # _guard has the limit
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd but readable metadata
            yield
    except UnreadableError:
        raise
    except MemoryError as error:
        raise UnreadableError("not enough memory to decode it") from error
    except Exception as error:  # Pillow's decoders raise all kinds of errors for damaged files
        raise UnreadableError(_reason(error, data)) from error
    finally:
        Image.MAX_IMAGE_PIXELS = most


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


def to_rgba(image: Image.Image) -> Image.Image:
    """Convert a picture of any mode to 8-bit sRGB with an alpha channel, opaque where it has none."""
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_eight_bits(image)
    if not has_transparency(image):
        return to_rgb(image, (0, 0, 0)).convert("RGBA")
    rgba = image.convert("RGBA")
    colours = _to_srgb(rgba.convert("RGB"), image.info.get("icc_profile"))
    colours.putalpha(rgba.getchannel("A"))
    return colours


def _decode(data: bytes, fit: Fit) -> tuple[Image.Image, int | None]:
    with _open(data) as image:
        enough = fit.size.times(_DRAFT_FACTOR)
        image.draft(None, enough)
        halvings = _halvings(image, enough, fit.max_megapixels)
        _guard(image, fit.max_megapixels, "raise --max-megapixels, or reduce its size first", halvings)
        deep, high = _is_deep(image), image
        image.load()
        depth = _depth(image, data) if deep else None
        if depth is not None and depth <= fit.depth:
            high = _brightened(image, data, fit.depth)
        turned = _turn(high)
        return (to_rgba(turned) if fit.alpha == "keep" else to_rgb(turned, fit.background)), depth


def _is_deep(image: Image.Image) -> bool:
    """Whether an opened file stores 16 bits a value; Pillow keeps 8 of them of colours."""
    return image.mode in ("I", "I;16", "I;16B", "I;16L", "I;16N") or any(
        ";16" in str(tile.args) for tile in getattr(image, "tile", ())
    )


def _depth(image: Image.Image, data: bytes) -> int | None:
    """How many bits the values of a loaded 16-bit file use; None if they are all 0 or of more bits."""
    values = np.asarray(image)
    if values.ndim == 2:
        used = int(values.max(initial=0)).bit_length()
        if image.mode == "I" and used <= 8:
            return None  # which to_rgb reads by its range
    else:
        high = int(values[:, :, :3].max(initial=0))
        low = _low_bytes(data) if not high else None
        used = 8 + high.bit_length() if high else 0 if low is None else int(low[:, :, :3].max()).bit_length()
    return next((depth for depth in _DEPTHS if used <= depth), None) if used else None


def _brightened(image: Image.Image, data: bytes, depth: int) -> Image.Image:
    """A loaded 16-bit picture at 8 bits, with 2^depth - 1 as white."""
    most = (1 << depth) - 1
    values = np.asarray(image)
    if values.ndim == 2:
        clear = image.info.get("transparency")
        shown = Image.fromarray(_scaled(values, most))
        if isinstance(clear, int):
            shown.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    else:
        low = _low_bytes(data)
        colours = values[:, :, :3].astype(np.int64) << 8
        # Of grey with alpha, Pillow offers the high bytes alone: they are repeated.
        colours |= colours >> (depth - 8) if low is None else low[:, :, :3]
        shown = Image.fromarray(_scaled(colours, most))
        if values.shape[2] == 4:
            shown.putalpha(image.getchannel("A"))
    shown.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return shown


def _low_bytes(data: bytes) -> NDArray[np.uint8] | None:
    """The lower halves of a 16-bit colour picture, read as if its bytes had the other order."""
    with _open(data) as image:
        if not isinstance(image, ImageFile) or image.mode not in ("RGB", "RGBA"):
            return None
        if not all(f"{image.mode};16" in str(tile.args) for tile in image.tile):
            return None
        image.tile = [tile._replace(args=_other_order(tile.args)) for tile in image.tile]
        image.load()
        return np.asarray(image)


def _other_order(args: Any) -> Any:
    """A tile's arguments with the other order of bytes: its raw mode ends in ;16B, ;16L or ;16N."""
    if isinstance(args, tuple):
        return tuple(map(_other_order, args))
    if not isinstance(args, str) or ";16" not in args:
        return args
    little = args.endswith("L") or (args.endswith("N") and sys.byteorder == "little")
    return args[:-1] + ("B" if little else "L")


def _scaled(values: NDArray[Any], most: int) -> NDArray[np.uint8]:
    return np.round(np.clip(values / most, 0, 1) * 255).astype(np.uint8)


def _halvings(image: Image.Image, enough: Size, most: int) -> int:
    """How often a JPEG 2000 of more than `most` megapixels is halved while it is decoded; 0 for other formats."""
    halvings = 0
    if isinstance(image, Jpeg2KImageFile):
        while (
            (image.width * image.height) >> (2 * halvings) > most << 20
            and image.width >> (halvings + 1) >= enough.width
            and image.height >> (halvings + 1) >= enough.height
            and halvings < _HALVINGS
        ):
            halvings += 1
        image.reduce = halvings
    return halvings


def decode_picture(data: bytes) -> Image.Image:
    """A picture file at its own size: sRGB, RGBA where it has transparency, turned as its EXIF says.

    Raises:
        UnreadableError: If it is damaged, not a picture, or too large to decode in memory.
    """
    with _reading(data), _open(data) as image:
        _guard(image, MAX_DECODED_PIXELS >> 20)
        image.load()
        turned = _turn(image)
        return to_rgba(turned) if has_transparency(turned) else to_rgb(turned, (0, 0, 0))


def has_transparency(image: Image.Image) -> bool:
    """Whether a picture of any mode has transparent places."""
    return "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La")


def _open(data: bytes) -> Image.Image:
    Image.init()
    if _is_heic(data) and "HEIF" not in Image.OPEN:
        _register_heic()
    known: list[str] = [
        name for name in FORMATS if name in Image.OPEN
    ]  # some builds of Pillow lack AVIF or WebP
    return Image.open(io.BytesIO(data), formats=known)


def _is_heic(data: bytes) -> bool:
    return (
        data[4:8] == b"ftyp"
        and any(brand in data[8:40] for brand in _HEIC_BRANDS)
        and b"avif" not in data[8:40]
    )


def _register_heic() -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise UnreadableError("it is HEIC, as phones save: `pip install 'metagan[heic]'` reads it") from error
    pillow_heif.register_heif_opener()


def _guard(image: Image.Image, most: int, fix: str = "reduce its size first", halvings: int = 0) -> None:
    pixels = (image.width * image.height) >> (2 * halvings)
    if pixels > most << 20:
        size = f"{image.width}x{image.height} pixels"
        raise UnreadableError(f"{size}: at most {most} megapixels, got {math.ceil(pixels / 2**20)}; {fix}")
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


def _fitted(image: Image.Image, fit: Fit, depth: int | None) -> Fitted:
    pixels = _art_pixels(image) if fit.resample != "lanczos" else None
    if fit.mode == "pad":
        return _padded(image, fit, pixels, depth)
    cut = image.width * fit.size.height != image.height * fit.size.width
    enlarged = _kept(image, fit.size)[0] < fit.size.width
    how = _cropped if fit.mode == "crop" else _stretched
    return Fitted(how(image, fit, pixels), cut, enlarged, depth)


def _stretched(image: Image.Image, fit: Fit, pixels: Image.Image | None) -> Image.Image:
    how = Image.Resampling.LANCZOS
    if pixels is not None and fit.size.width % pixels.width == fit.size.height % pixels.height == 0:
        image, how = pixels, Image.Resampling.NEAREST
    elif fit.resample == "nearest":
        how = Image.Resampling.NEAREST
    return image.resize(fit.size, how)


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


def _padded(image: Image.Image, fit: Fit, pixels: Image.Image | None, depth: int | None) -> Fitted:
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
    clear = (*fit.background, 0) if image.mode == "RGBA" else fit.background
    padded = Image.new(image.mode, fit.size, clear)
    scaled = image if size == image.size else image.resize(size, how)
    padded.paste(scaled, ((fit.size.width - size[0]) // 2, (fit.size.height - size[1]) // 2))
    return Fitted(padded, size != fit.size, size[0] > image.width, depth)


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


def _reason(error: Exception, data: bytes) -> str:
    if isinstance(error, UnidentifiedImageError):
        kind = _kind(data)
        return f"not a picture of a known format{f': {kind}' if kind else ''}"
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__


def _kind(data: bytes) -> str:
    """What a file that is no picture of a known format is instead, by its beginning; empty if it doesn't show."""
    if _is_heic(data):
        return "it is a damaged HEIC"
    if data[4:8] == b"ftyp":
        return "it is a film: `ffmpeg` takes pictures from it"
    text = data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return "it is SVG, a drawing: save it as PNG"
    if text.startswith((b"<!doctype html", b"<html")):
        return "it is a web page: download the picture again"
    return next((kind for start, kind in _OTHERS if data.startswith(start) and (start or not data)), "")
