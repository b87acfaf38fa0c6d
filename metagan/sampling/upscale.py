"""Enlarges pictures with an upscaler, or with the plain filters that it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, islice
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from metagan.checkpoints.families import STATE_DICT
from metagan.checkpoints.read import SAFETENSORS, read_checkpoint
from metagan.networks.upscaler import Upscaler, upscaler_of
from metagan.networks.upscaler.native import NativeUpscaler, native_upscaler
from metagan.sampling.device import on_one_thread_each
from metagan.sampling.foreign_upscaler import ForeignUpscaler, load_foreign_upscaler
from metagan.sampling.levels import to_signed, to_uint8

TILE_PX: Final = 256  # larger pictures are taken in tiles of this side, so that memory doesn't grow with them
AT_ONCE: Final = 32  # pictures of one size

AnyUpscaler = Upscaler | ForeignUpscaler | NativeUpscaler


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


def prepare_upscaler(upscaler: AnyUpscaler) -> AnyUpscaler:
    """Return an upscaler's fastest form for its device: on a CPU the kernel if possible, else the network itself.

    Later changes to the network's weights may have no effect on it.
    """
    if not isinstance(upscaler, Upscaler):
        return upscaler
    form = native_upscaler(upscaler)
    return form if isinstance(form, NativeUpscaler) else upscaler


def upscale_pictures(
    upscaler: AnyUpscaler,
    pictures: Sequence[NDArray[np.uint8]],
    device: torch.device | str = "cpu",
) -> list[NDArray[np.uint8]]:
    """Upscale pictures of any sizes: a picture doesn't depend on its neighbours, or on the number of threads.

    Args:
        upscaler: The upscaler, on `device`.
        pictures: RGB, [h, w, 3] each.
        device: The device to compute on.

    Returns:
        RGB, [factor h, factor w, 3] each.
    """
    form, results = prepare_upscaler(upscaler), list[NDArray[np.uint8]]()
    for _, group in groupby(pictures, key=np.shape):  # those of one size that follow each other
        while chunk := list(islice(group, AT_ONCE)):
            results += enlarge_images(form, to_signed(chunk).to(device))
    return results


@torch.inference_mode()
def enlarge_images(upscaler: AnyUpscaler, images: Float[Tensor, "n 3 h w"]) -> list[NDArray[np.uint8]]:
    """Upscale pictures of numbers within [-1, 1] to bytes, [factor h, factor w, 3] each: large ones tile by tile."""
    tile = upscaler.tile_px if isinstance(upscaler, ForeignUpscaler) else TILE_PX
    if max(images.shape[2:]) <= tile:
        return _enlarge_whole(upscaler, images)
    return [_enlarge_in_tiles(upscaler, image, tile) for image in images]


def _enlarge_in_tiles(upscaler: AnyUpscaler, image: Float[Tensor, "3 h w"], tile: int) -> NDArray[np.uint8]:
    _, height, width = image.shape
    factor, reach = upscaler.factor, upscaler.reach
    result = np.empty((height * factor, width * factor, 3), np.uint8)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            # What a pixel depends on comes along, and is cut off again: tiles join without a seam.
            above, before = max(0, top - reach), max(0, left - reach)
            (drawn,) = _enlarge_whole(
                upscaler, image[None, :, above : bottom + reach, before : right + reach]
            )
            inner = drawn[
                (top - above) * factor : (bottom - above) * factor,
                (left - before) * factor : (right - before) * factor,
            ]
            result[top * factor : bottom * factor, left * factor : right * factor] = inner
    return result


def _enlarge_whole(upscaler: AnyUpscaler, images: Float[Tensor, "n 3 h w"]) -> list[NDArray[np.uint8]]:
    if isinstance(upscaler, NativeUpscaler):
        return list(upscaler.enlarge(images).numpy())

    @torch.inference_mode()
    def enlarge_one(image: Tensor) -> NDArray[np.uint8]:
        return to_uint8(upscaler(image[None]))[0]  # one by one: batches change no bit

    if isinstance(upscaler, ForeignUpscaler) or images.device.type != "cpu":
        return [enlarge_one(image) for image in images]
    with on_one_thread_each() as threads:
        if min(threads, len(images)) <= 1:
            return [enlarge_one(image) for image in images]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(enlarge_one, images))


def enlarge(picture: NDArray[np.uint8], factor: int, how: Literal["nearest", "lanczos"]) -> NDArray[np.uint8]:
    """Enlarge a picture [h, w, 3] with one of Pillow's filters."""
    height, width, _ = picture.shape
    resampling = {"nearest": Image.Resampling.NEAREST, "lanczos": Image.Resampling.LANCZOS}[how]
    enlarged = Image.fromarray(picture).resize((width * factor, height * factor), resampling)
    return np.asarray(enlarged)
