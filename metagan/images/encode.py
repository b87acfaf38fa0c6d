"""Encodes arrays as picture files."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features
from PIL.PngImagePlugin import PngInfo

from metagan.errors import OptionError
from metagan.files import write_bytes
from metagan.images.provenance import Provenance

ENCODER_VERSION = 1  # part of every published picture's key; increase it when the encoded bytes change
LOSSLESS_BELOW_PX = 128  # small pictures are shown enlarged, which makes compression visible
EXTENSIONS = {"webp": "webp", "png": "png", "jpeg": "jpg", "avif": "avif"}
MOST_SIDE_PX = {
    "webp": 16_383,
    "jpeg": 65_500,
    "gif": 65_535,
    "avif": 32_768,
    "png": 2**31 - 1,
    "mp4": 16_384,
    "webm": 65_535,
}
"""The longest side that a format, or the library that writes it, allows; of AVIF, what its readers take."""
ENDINGS = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg", ".avif": "avif"}


def picture_format(path: Path) -> str:
    """The format that a picture's name asks for: "png", "webp", "jpeg" or "avif".

    Raises:
        OptionError: It ends otherwise.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise OptionError(
            f"want a name that ends in {', '.join(ENDINGS)}, got {path.name}",
            where=path,
            fix="give it one of these endings",
        )
    return ENDINGS[ending]


def require_size(image_format: str, size: tuple[int, int], what: str, fix: str) -> None:
    """Refuse a picture that its format can't hold, or that this Pillow can't write, before it is drawn.

    Args:
        image_format: A key of MOST_SIDE_PX.
        size: Width and height in pixels.
        what: What it is: "--sheet apes.webp: 300 pictures".
        fix: The way out.

    Raises:
        OptionError: If a side is longer than the format allows, or Pillow was built without the format.
    """
    if image_format == "avif" and not features.check("avif"):
        raise OptionError(
            f"{what}: this Pillow is built without AVIF", fix="use webp, or install pillow 11.3 or newer"
        )
    most = MOST_SIDE_PX[image_format]
    if max(size) > most:
        names = {"webp": "WebP"}
        raise OptionError(
            f"{what}: {names.get(image_format, image_format.upper())} holds at most {most:,} pixels a side, got "
            f"{size[0]:,}x{size[1]:,}",
            fix=fix,
        )


def write_sheet(path: Path, sheet: NDArray[np.uint8], label: Provenance, note: Callable[[str], None]) -> None:
    """Write a sheet of pictures in the format that its name asks for.

    Args:
        path: The file.
        sheet: [h, w, ch].
        label: Provenance to write into the file.
        note: Told if the sheet had to be encoded in another way than usual.

    Raises:
        OptionError: See `encode`; `require_size` tells before drawing.
    """
    write_bytes(path, encode(sheet, picture_format(path), label, lambda text: note(f"{path.name}: {text}")))


def encode(
    picture: NDArray[np.uint8],
    image_format: str,
    label: Provenance | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> bytes:
    """Encode a picture.

    Args:
        picture: [h, w, ch]: grey, RGB or RGBA.
        image_format: "webp", "png", "jpeg" (alpha over white) or "avif".
        label: Provenance to write into the file as XMP.
        note: Told if a WebP is lossless because lossy WebP can't hold so much detail.

    Raises:
        OptionError: If this Pillow can't write the format, or the format can't hold as many pixels.
    """
    image = to_image(picture)
    require_size(image_format, image.size, "picture", "make it smaller, or choose png")
    options: dict[str, Any] = {"xmp": label.xmp()} if label else {}
    if image_format == "webp":
        small = max(image.size) < LOSSLESS_BELOW_PX
        options |= (
            {"lossless": True, "quality": 60} if small else {"lossless": False, "quality": 90, "method": 4}
        )
    elif image_format == "jpeg":
        options |= {"quality": 92, "subsampling": 0}
        image = _without_alpha(image)
    elif image_format == "avif":
        options |= {"quality": 80, "speed": 8}
    elif label:
        options = {"pnginfo": _png_text(label)}
    out = io.BytesIO()
    try:
        image.save(out, image_format, **options)
    except ValueError:
        if image_format != "webp" or options["lossless"]:
            raise
        limit = "lossy WebP can't hold so much detail (at most 512 KiB in its first part)"
        note(f"{limit}, so it is encoded without loss, which makes it larger")
        out = io.BytesIO()
        image.save(out, image_format, **(options | {"lossless": True, "quality": 20}))
    return out.getvalue()


def to_image(picture: NDArray[np.uint8]) -> Image.Image:
    """Convert an array [h, w, ch] to a Pillow image."""
    return Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)


def _without_alpha(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _png_text(label: Provenance) -> PngInfo:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", label.xmp().decode())
    return info
