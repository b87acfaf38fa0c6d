"""Reads the pictures to project, and fits them to a generator's size and channels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from metagan.datasets.decode import decode_picture, to_rgb
from metagan.datasets.store import UnreadableError
from metagan.errors import DatasetError, OptionError
from metagan.files import read_bytes, real_path, require_other, require_outside, why_no_file
from metagan.values import Size

WHITE = (255, 255, 255)
Box = tuple[int, int, int, int]
SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".jp2", ".tga")
)


@dataclass(frozen=True)
class Target:
    """A picture to project.

    Args:
        title: Its file's name without the suffix.
        pixels: Within [-1, 1], [ch, height, width].
        mask: 1 where the picture is, 0 where it was padded, [1, height, width].
    """

    title: str
    pixels: Float[Tensor, "ch h w"]
    mask: Float[Tensor, "1 h w"]


RESULTS: Final = (
    ".png",
    ".webp",
    ".gif",
    ".mp4",
    ".webm",
)  # endings of what `project` writes beside the styles


def list_pictures(paths: tuple[Path, ...], out: Path | None = None) -> list[Path]:
    """Return the named picture files, and those in named folders, in order.

    Args:
        paths: Files and folders.
        out: The folder of what is made of them, if that is a picture of the same title.

    Raises:
        OptionError: If a result would replace its picture, or be taken for one the next time.
        DatasetError: If a file or folder is missing, a folder holds no picture, or two pictures have the same title.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in SUFFIXES)
            if not inside:
                raise DatasetError(
                    "no picture in this folder", where=path, fix="name a picture, or another folder"
                )
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise DatasetError(
                why_no_file(path),
                where=path,
                fix="name a picture, or a folder of pictures",
            )
    by_title: dict[str, Path] = {}
    for path in found:
        if path.stem in by_title:
            msg = f"{by_title[path.stem]} and {path}: both would be written as {path.stem}"
            raise DatasetError(msg, fix="rename one of them, or project them into different folders")
        by_title[path.stem] = path
    if out is not None:
        _require_elsewhere(out, paths, found)
    return found


def _require_elsewhere(out: Path, paths: tuple[Path, ...], found: list[Path]) -> None:
    """Refuse results that would replace their pictures, or lie among those of a named folder."""
    for path in paths:
        if real_path(out) == real_path(path):
            require_outside(out, path)
    for path in found:
        if path.suffix in RESULTS:
            require_other(out / path.name, path)


def read_target(
    path: Path,
    size: Size | int,
    channels: int,
    *,
    mode: Literal["crop", "pad"] = "pad",
    box: Box | None = None,
) -> Target:
    """Read a picture file for a generator.

    Args:
        path: Any format that `metagan dataset pack` reads.
        size: Of the generator's pictures; the side of squares.
        channels: 1 for grey, 3 for RGB, 4 for RGB with an opaque alpha.
        mode: "pad" pads a picture of another aspect ratio, and the padding is ignored; "crop" keeps its middle.
        box: Left, top, right and bottom in the picture's own pixels, to cut out first.

    Raises:
        DatasetError: If it is damaged, not a picture, or so large that decoding could exhaust the memory.
        OptionError: If the box isn't within the picture.
    """
    try:
        image = to_rgb(decode_picture(read_bytes(path)), WHITE)
    except UnreadableError as error:
        raise DatasetError(error, where=path, fix="save it anew as PNG or JPEG, or leave it out") from error
    if box is not None:
        image = _cut(path, image, box)
    whole = Size.of(size)
    if mode == "crop":
        share = min(image.width / whole.width, image.height / whole.height)
        kept = Size(*(min(have, round(side * share)) for have, side in zip(image.size, whole, strict=True)))
        left, top = (image.width - kept.width) // 2, (image.height - kept.height) // 2
        image = image.crop((left, top, left + kept.width, top + kept.height))
    is_wider = image.width * whole.height >= image.height * whole.width
    fitted, side = (whole.width, image.width) if is_wider else (whole.height, image.height)
    width, height = (max(1, round(have * fitted / side)) for have in image.size)
    left, top = (whole.width - width) // 2, (whole.height - height) // 2
    padded = Image.new("RGB", whole, WHITE)
    padded.paste(image.resize((width, height), Image.Resampling.LANCZOS), (left, top))
    mask = torch.zeros(1, whole.height, whole.width)
    mask[:, top : top + height, left : left + width] = 1
    pixels = torch.from_numpy(np.asarray(padded).astype(np.float32).transpose(2, 0, 1) / 127.5 - 1)
    return Target(path.stem, _with_channels(pixels, channels), mask)


def _cut(path: Path, image: Image.Image, box: Box) -> Image.Image:
    left, top, right, bottom = box
    if not (0 <= left < right <= image.width and 0 <= top < bottom <= image.height):
        msg = f"--box {left},{top},{right},{bottom}: {path} is {image.width}x{image.height} pixels"
        raise OptionError(msg, fix="give left, top, right and bottom within that")
    return image.crop(box)


def _with_channels(pixels: Tensor, channels: int) -> Tensor:
    if channels == 1:
        weights = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601 luma, as Pillow's mode L
        return (pixels * weights[:, None, None]).sum(dim=0, keepdim=True)
    if channels == 4:
        return torch.cat([pixels, torch.ones_like(pixels[:1])])
    return pixels
