"""Enlarges pictures with an upscaler, or with the plain filters that it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from metagan.checkpoints.families import STATE_DICT
from metagan.checkpoints.read import SAFETENSORS, read_checkpoint
from metagan.networks.upscaler import Upscaler, upscaler_of
from metagan.sampling.foreign_upscaler import ForeignUpscaler, load_foreign_upscaler
from metagan.sampling.levels import to_signed, to_uint8

TILE_PX: Final = 256  # larger pictures are taken in tiles of this side, so that memory doesn't grow with them


def open_upscaler(
    path: Path, device: torch.device, tile_px: int | None = None, memory_bytes: int | None = None
) -> Upscaler | ForeignUpscaler:
    """Read an upscaler onto a device: metagan's own, or another program's.

    Args:
        path: Its file.
        device: Where to compute.
        tile_px: Side of another program's tiles; None for what memory has room for.
        memory_bytes: Most memory that such a tile may take; None for most of what is free.

    Raises:
        CheckpointError: If the file can't be read, or holds no upscaler.
        OptionError: If another program's needs spandrel, which isn't installed, or takes other pictures than RGB.
        DeviceError: If memory has no room for the smallest tile.
    """
    checkpoint = read_checkpoint(path)
    if checkpoint.header is None and checkpoint.format in (STATE_DICT, SAFETENSORS):
        return load_foreign_upscaler(checkpoint, device, tile_px, memory_bytes)
    return upscaler_of(checkpoint).to(device)


@torch.inference_mode()
def upscale_pictures(
    upscaler: Upscaler | ForeignUpscaler,
    pictures: Sequence[NDArray[np.uint8]],
    device: torch.device | str = "cpu",
) -> list[NDArray[np.uint8]]:
    """Upscale pictures of any sizes, one by one: a picture doesn't depend on its neighbours.

    Args:
        upscaler: The upscaler, on `device`.
        pictures: RGB, [h, w, 3] each.
        device: The device to compute on.

    Returns:
        RGB, [factor h, factor w, 3] each.
    """
    return [_upscale(upscaler, picture, torch.device(device)) for picture in pictures]


def _upscale(
    upscaler: Upscaler | ForeignUpscaler, picture: NDArray[np.uint8], device: torch.device
) -> NDArray[np.uint8]:
    height, width, _ = picture.shape
    tile = upscaler.tile_px if isinstance(upscaler, ForeignUpscaler) else TILE_PX
    if max(height, width) <= tile:
        return to_uint8(upscaler(to_signed([picture]).to(device)))[0]
    factor, reach = upscaler.factor, upscaler.reach
    result = np.empty((height * factor, width * factor, 3), np.uint8)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            # What a pixel depends on comes along, and is cut off again: tiles join without a seam.
            above, before = max(0, top - reach), max(0, left - reach)
            piece = picture[above : bottom + reach, before : right + reach]
            drawn = to_uint8(upscaler(to_signed([piece]).to(device)))[0]
            inner = drawn[
                (top - above) * factor : (bottom - above) * factor,
                (left - before) * factor : (right - before) * factor,
            ]
            result[top * factor : bottom * factor, left * factor : right * factor] = inner
    return result


def enlarge(picture: NDArray[np.uint8], factor: int, how: Literal["nearest", "lanczos"]) -> NDArray[np.uint8]:
    """Enlarge a picture [h, w, 3] with one of Pillow's filters."""
    height, width, _ = picture.shape
    resampling = {"nearest": Image.Resampling.NEAREST, "lanczos": Image.Resampling.LANCZOS}[how]
    enlarged = Image.fromarray(picture).resize((width * factor, height * factor), resampling)
    return np.asarray(enlarged)
