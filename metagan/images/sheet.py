"""Contact sheets: many pictures in one."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def choose_columns(count: int, width: int, height: int) -> int:
    """Return how many pictures of a size to lay beside each other, so that the sheet is slightly wider than high."""
    return min(count, max(1, math.ceil(math.sqrt(count * 1.5 * height / width))))


def contact_sheet(
    pictures: Iterable[NDArray[np.uint8]],
    count: int,
    columns: int | None = None,
    thumbnail: int | None = None,
) -> NDArray[np.uint8]:
    """Lay pictures out row by row.

    Args:
        pictures: `count` pictures of the same shape [h, w, ch].
        count: Number of pictures. Unused places stay white.
        columns: Pictures per row; None makes the sheet slightly wider than high.
        thumbnail: The longer side of each picture on the sheet; larger pictures are made smaller.

    Returns:
        [rows·h, columns·w, ch].
    """
    if count < 1:
        raise ValueError("a contact sheet needs at least one picture")
    columns = columns or 0
    sheet: NDArray[np.uint8] | None = None
    thumbnails = pictures if thumbnail is None else (_smaller(picture, thumbnail) for picture in pictures)
    for index, picture in enumerate(thumbnails):
        height, width, channels = picture.shape
        if sheet is None:
            columns = min(columns or choose_columns(count, width, height), count)
            rows = math.ceil(count / columns)
            sheet = np.full((rows * height, columns * width, channels), 255, np.uint8)
        top, left = index // columns * height, index % columns * width
        sheet[top : top + height, left : left + width] = picture
    if sheet is None:
        raise ValueError("a contact sheet needs at least one picture")
    return sheet


def thumbnail_size(size: tuple[int, int], thumbnail: int) -> tuple[int, int]:
    """The width and height of a picture whose longer side is at most `thumbnail` pixels."""
    scale = min(1.0, thumbnail / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _smaller(picture: NDArray[np.uint8], thumbnail: int) -> NDArray[np.uint8]:
    if max(picture.shape[:2]) <= thumbnail:
        return picture
    image = Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
    small = image.resize(thumbnail_size(image.size, thumbnail), Image.Resampling.LANCZOS)
    return np.asarray(small).reshape(small.height, small.width, picture.shape[2])
