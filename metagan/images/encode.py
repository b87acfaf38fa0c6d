"""Encodes arrays as picture files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features
from PIL.PngImagePlugin import PngInfo

from metagan.errors import OptionError
from metagan.images.provenance import Provenance

ENCODER_VERSION = 1  # part of every published picture's key; increase it when the encoded bytes change
LOSSLESS_BELOW_PX = 128  # small pictures are shown enlarged, which makes compression visible
EXTENSIONS = {"webp": "webp", "png": "png", "jpeg": "jpg", "avif": "avif"}
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


def encode(picture: NDArray[np.uint8], image_format: str, label: Provenance | None = None) -> bytes:
    """Encode a picture.

    Args:
        picture: [h, w, ch]: grey, RGB or RGBA.
        image_format: "webp", "png", "jpeg" (alpha over white) or "avif".
        label: Provenance to write into the file as XMP.

    Raises:
        OptionError: If this Pillow can't write the format.
    """
    image = to_image(picture)
    options: dict[str, Any] = {"xmp": label.xmp()} if label else {}
    if image_format == "webp":
        small = max(image.size) < LOSSLESS_BELOW_PX
        options |= {"lossless": True, "quality": 60} if small else {"quality": 90, "method": 4}
    elif image_format == "jpeg":
        options |= {"quality": 92, "subsampling": 0}
        image = _without_alpha(image)
    elif image_format == "avif":
        if not features.check("avif"):
            raise OptionError(
                "format avif: this Pillow is built without AVIF",
                fix="use webp, or install pillow 11.3 or newer",
            )
        options |= {"quality": 80, "speed": 8}
    elif label:
        options = {"pnginfo": _png_text(label)}
    out = io.BytesIO()
    image.save(out, image_format, **options)
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
