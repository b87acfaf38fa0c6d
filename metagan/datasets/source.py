"""Reads the pictures of a packed dataset.

Supports zips of metagan and of the official dataset tool, and folders with the same layout. A source can be pickled,
forked and shared by threads, because each reader opens the zip itself.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metagan.datasets.archive import FACTS_NAME, LABELS_NAME
from metagan.datasets.labels import LabelTable, left_over, read_label_names, read_listed, unread_labels
from metagan.datasets.store import (
    Layout,
    Store,
    UnreadableError,
    open_store,
    plain_name,
    read_json,
    say_repeated,
)
from metagan.errors import DatasetError
from metagan.values import LabelSpace, Size, counted, printable

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_UNREADABLE = (UnreadableError, OSError, ValueError, SyntaxError, Image.DecompressionBombError)
_PACK = "pack it with `metagan dataset pack`"
_SHOWN = 10


class PictureSource:
    """Pictures of one size, with their labels.

    Args:
        path: A dataset zip, or a folder with the same files.
        resolution: The size that is required, or the side of squares; None for any.
        labelled: Whether to read dataset.json. If not, every picture has an empty label.

    Raises:
        DatasetError: If the dataset does not exist or has no pictures, the first picture has another size, or
            the labels don't match the pictures.
    """

    def __init__(
        self, path: Path | str, resolution: Size | int | None = None, *, labelled: bool = True
    ) -> None:
        self.path = Path(path)
        self._store: Store = open_store(self.path)
        everything = self._store.names()
        self.names = tuple(name for name in everything if _is_picture(PurePosixPath(plain_name(name))))
        if not self.names:
            held = {0: "it holds no files", 1: "it holds one file, which is no picture"}
            what = held.get(
                len(everything), f"it holds {len(everything):,} files, none of which is a picture"
            )
            raise DatasetError(
                f"{what}; names of pictures end in {', '.join(sorted(SUFFIXES))}",
                where=path,
                fix=f"{_PACK}, which reads more formats",
            )
        self._layout = Layout(everything, self.names)
        self.size = self._first_size(None if resolution is None else Size.of(resolution))
        self.unused_labels: tuple[str, ...] = ()
        self.table: LabelTable | None = self._read_labels() if labelled else None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def resolution(self) -> int:
        """The longer side of the pictures in pixels; of square ones, both."""
        return self.size.longest

    @property
    def label_count(self) -> int:
        """The width of a label vector; 0 without labels."""
        return self.table.width if self.table else 0

    @property
    def label_names(self) -> tuple[str, ...]:
        """The name of each label, or its number if the dataset has no names. Empty without labels."""
        return self.label_space.names or tuple(map(str, range(self.label_count)))

    @cached_property
    def label_space(self) -> LabelSpace:
        """What the labels mean: the names of classes, or the ranges of labels that are numbers."""
        if self.table is None:
            return LabelSpace()
        return LabelSpace(read_label_names(self._store, self._layout, self.table.width), self.table.ranges)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The facts in metagan.json about how the dataset was made; empty for datasets of other tools."""
        file = self._layout.find(FACTS_NAME)
        return read_json(self._store, file) if file else {}

    def left_out(self) -> list[str]:
        """What is there and not used, a line each: labels for no picture, in other files or sub-folders; a zip's names
        that come twice."""
        how = "none" if self.table is None and self._layout.find(LABELS_NAME) else "auto"
        unread = unread_labels(how, self._store, self._layout, self.names)
        lines = [f"labels not used: {'; '.join(unread)}"] if unread else []
        if repeated := self._store.repeated():
            lines.append(say_repeated(repeated))
        if self.unused_labels:
            lines.append(left_over(self.unused_labels))
        return lines

    def get(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return picture and label `index`.

        Returns:
            RGB, [3, height, width], and the label vector, [label_count]: one-hot if labels are numbers.

        Raises:
            DatasetError: If the picture is missing, damaged or of another size.
            IndexError: If the index is out of range.
        """
        return self.pixels(index), self.label(index)

    def label(self, index: int) -> NDArray[np.float32]:
        """Return the label vector of picture `index`, [label_count]."""
        return self.table.vector(index) if self.table else np.zeros(0, np.float32)

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """Return picture `index`, RGB, [3, height, width]. Raises DatasetError."""
        name = self.names[index]
        try:
            with _opened(self._store.read(name)) as image:
                self._check_header(image)
                rgb = np.asarray(image.convert("RGB"))
        except _UNREADABLE as error:
            raise DatasetError(
                f"{printable(name)}: {error}", where=self.path, fix=f"{_PACK}, which skips such files"
            ) from error
        return np.ascontiguousarray(rgb.transpose(2, 0, 1))

    def check(self) -> None:
        """Check the header of every picture, to find problems before hours of training.

        Raises:
            DatasetError: If pictures are missing, damaged, or not of one size. The message lists the first ten.
        """
        wrong = list(self._wrong())
        if not wrong:
            return
        shown = "\n  ".join(wrong[:_SHOWN])
        more = f"\n  and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise DatasetError(
            f"{len(wrong):,} of {counted(len(self), 'picture')} can't be used\n  {shown}{more}",
            where=self.path,
            fix=_PACK,
        )

    def _wrong(self) -> Iterator[str]:
        for name in self.names:
            try:
                with _opened(self._store.read(name)) as image:
                    self._check_header(image)
            except _UNREADABLE as error:
                yield f"{printable(name)}: {error}"

    def _check_header(self, image: Image.Image) -> None:
        if image.size != self.size:
            raise UnreadableError(f"{Size(*image.size)} pixels, want {self.size} as the first picture")
        if image.mode in ("RGBA", "LA"):
            raise UnreadableError(
                f"mode {image.mode}: training takes three colours and no transparency; pack it with --alpha over"
            )
        if image.mode not in ("RGB", "L"):
            raise UnreadableError(f"mode {image.mode}, want RGB or grey, 8 bits a channel")

    def _first_size(self, wanted: Size | None) -> Size:
        name = self.names[0]
        try:
            with _opened(self._store.read(name)) as image:
                size = Size(*image.size)
        except _UNREADABLE as error:
            raise DatasetError(
                f"{printable(name)}: {error}", where=self.path, fix=f"{_PACK}, which skips such files"
            ) from error
        again = f"metagan dataset pack {self.path} --out NEW.zip --resolution"
        if not size.is_trainable:
            near = wanted or (Size.square(64) if size.is_square else size.nearest_trainable)
            raise DatasetError(
                f"{printable(name)} is {size} pixels, want a square whose side is a power of two, or sides that share "
                f"a power of two, such as 512x1024",
                where=self.path,
                fix=f"run `{again} {near.as_option}`",
            )
        if wanted is not None and size != wanted:
            raise DatasetError(
                f"its pictures are {size} pixels, but {wanted} was requested",
                where=self.path,
                fix=f"ask for {size.as_option}, or run `{again} {wanted.as_option}`",
            )
        return size

    def _read_labels(self) -> LabelTable | None:
        listed = read_listed(self._store, self._layout, self.names)
        if listed is None:
            return None
        self.unused_labels = listed.unused
        return listed.table(self.names)


def _is_picture(name: PurePosixPath) -> bool:
    hidden = name.name.startswith("._") or "__MACOSX" in name.parts
    return name.suffix.lower() in SUFFIXES and not hidden


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"))


def evenly_spaced(total: int, count: int) -> list[int]:
    """Pick `count` of the indices below `total`, from the first to the last; some repeat where count > total."""
    return [int(index) for index in np.linspace(0, total - 1, count)]


def stack(pictures: Iterable[NDArray[np.uint8]], count: int) -> NDArray[np.uint8]:
    """Stack `count` pictures of one shape as they come, so that they are in memory only once.

    Raises:
        ValueError: If `pictures` is empty.
    """
    stacked: NDArray[np.uint8] | None = None
    for index, picture in enumerate(pictures):
        if stacked is None:
            stacked = np.empty((count, *picture.shape), np.uint8)
        stacked[index] = picture
    if stacked is None:
        raise ValueError("no pictures to stack")
    return stacked
