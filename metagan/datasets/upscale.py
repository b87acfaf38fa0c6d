"""Upscales a folder, a zip or a file of pictures into a folder."""

from __future__ import annotations

import io
import json
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from metagan.datasets.archive import FACTS_NAME, LABELS_NAME
from metagan.datasets.decode import decode_picture
from metagan.datasets.labels import read_listed
from metagan.datasets.pack import list_pictures
from metagan.datasets.store import (
    FolderStore,
    Layout,
    Store,
    UnreadableError,
    open_store,
    plain_name,
    read_json,
)
from metagan.errors import DatasetError
from metagan.files import read_bytes, real_path, require_outside, write_bytes
from metagan.sampling.denoise import Denoising, denoise
from metagan.sampling.upscale import AnyUpscaler, prepare_upscaler, upscale_pictures
from metagan.values import counted, json_text, printable

_XMP_PNG: Final = "XML:com.adobe.xmp"
MOST_RESULT_PIXELS: Final = 2**28  # 268 megapixels, 0.8 GB


@dataclass
class UpscaleReport:
    """The result of enlarging pictures.

    Args:
        out: The folder of the results.
        upscaled: How many there are.
        skipped: Name and reason of each skipped picture.
        repeated: Names that several files of the zip have; the last of each is enlarged.
    """

    out: Path
    upscaled: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    repeated: tuple[str, ...] = ()


def upscale_folder(
    pictures: Path,
    out: Path,
    upscaler: AnyUpscaler,
    device: torch.device | str = "cpu",
    *,
    denoising: Denoising | None = None,
    advance: Callable[[int], None] = lambda _: None,
    begin: Callable[[int], None] = lambda _: None,
) -> UpscaleReport:
    """Upscale every picture into a folder of PNG files of the same names, and copy a dataset's labels.

    Transparency is enlarged by a Lanczos filter. Each result keeps its picture's XMP metadata.

    Args:
        pictures: A folder, a zip or a dataset of pictures, or one picture.
        out: The folder to write into; files of other names in it stay.
        upscaler: On the device.
        device: The device to compute on.
        denoising: Whether to remove noise before and after; None for neither.
        advance: Called after each picture.
        begin: Called with the number of pictures.

    Raises:
        DatasetError: If there is no picture, or none that can be read.
        OptionError: If `out` lies among the pictures themselves.
    """
    store, names = _pictures_at(pictures)
    _require_elsewhere(pictures, out)
    begin(len(names))
    targets, report, form = _targets(names), UpscaleReport(out), prepare_upscaler(upscaler)
    labels = None
    if not _is_one(pictures):
        report.repeated = tuple(map(printable, store.repeated()))
        labels = _renamed_labels(store, targets)
    if labels is not None:
        _require_same_labels(_inside(out, labels[0]), labels[1])
    for name in names:
        try:
            target = _inside(out, targets[name])
            write_bytes(target, _upscaled(store.read(name), form, device, denoising or Denoising()))
            report.upscaled += 1
        except UnreadableError as error:
            report.skipped.append((printable(name), str(error)))
        advance(1)
    if not report.upscaled:
        name, reason = report.skipped[0]
        raise DatasetError(
            f"its {counted(len(names), 'picture')} can't be read; {name}: {reason}",
            where=pictures,
            fix="give a folder or zip of pictures",
        )
    if labels is not None:
        write_bytes(_inside(out, labels[0]), labels[1])
    return report


def _is_one(path: Path) -> bool:
    """Whether it is one picture, whose folder isn't read."""
    return path.is_file() and path.suffix.lower() != ".zip"


def _pictures_at(path: Path) -> tuple[Store, list[str]]:
    if _is_one(path):
        return FolderStore(path.parent), [path.name]
    store = open_store(path)
    names = [name for name in list_pictures(store) if PurePosixPath(name).name != FACTS_NAME]
    if not names:
        raise DatasetError(
            "no picture in it", where=path, fix="give a folder or zip of pictures, or one picture"
        )
    return store, names


def _require_elsewhere(pictures: Path, out: Path) -> None:
    """Refuse to write results among the pictures: they would replace some, and be upscaled the next time."""
    require_outside(out, pictures)
    if real_path(out) == real_path(pictures.parent):
        require_outside(out, pictures.parent)


def _targets(names: list[str]) -> dict[str, PurePosixPath]:
    """Map each picture to its result: its name with .png, after the old suffix if two would have the same name.

    Where others have that name as well, a number follows.
    """
    written = {name: name if name.startswith("/") else plain_name(name) for name in names}
    plain = {name: PurePosixPath(path).with_suffix(".png") for name, path in written.items()}
    often = Counter(_folded(path) for path in plain.values())
    targets = {name: path for name, path in plain.items() if often[_folded(path)] == 1}
    taken = set(map(_folded, targets.values()))
    for name in names:
        if name not in targets:
            path, number = PurePosixPath(f"{written[name]}.png"), 2
            while _folded(path) in taken:
                path, number = PurePosixPath(f"{written[name]} {number}.png"), number + 1
            targets[name] = path
            taken.add(_folded(path))
    return targets


def _folded(path: PurePosixPath) -> str:
    """A name as file systems that ignore case or the form of accents compare it."""
    return unicodedata.normalize("NFC", str(path)).lower()


def _inside(out: Path, target: PurePosixPath) -> Path:
    if target.is_absolute() or ".." in target.parts or "\\" in str(target) or ":" in str(target):
        raise UnreadableError("its name leads out of the folder")
    return out / target


def upscale_image(
    image: Image.Image, upscaler: AnyUpscaler, device: torch.device | str, denoising: Denoising
) -> Image.Image:
    """Upscale one picture: its colours with the network, its transparency by a Lanczos filter.

    Raises:
        UnreadableError: If the result would have more than MOST_RESULT_PIXELS.
    """
    size = (image.width * upscaler.factor, image.height * upscaler.factor)
    if size[0] * size[1] > MOST_RESULT_PIXELS:
        most = f"want at most {MOST_RESULT_PIXELS:,} pixels in a result"
        raise UnreadableError(
            f"{most}, got {size[0] * size[1]:,} ({size[0]}x{size[1]}): make the picture smaller first"
        )
    pixels = _rgb(image)
    if denoising.before:
        pixels = denoise(pixels, denoising.deviation)
    (drawn,) = upscale_pictures(upscaler, [pixels], device)
    if denoising.after:
        drawn = denoise(drawn, denoising.deviation)
    result = Image.fromarray(drawn)
    if "A" in image.getbands():
        result.putalpha(image.getchannel("A").resize(size, Image.Resampling.LANCZOS))
    return result


def _upscaled(data: bytes, upscaler: AnyUpscaler, device: torch.device | str, denoising: Denoising) -> bytes:
    """Upscale a picture file's bytes to those of a PNG."""
    result = upscale_image(decode_picture(data), upscaler, device, denoising)
    info = PngInfo()
    if xmp := _xmp_of(data):
        info.add_itxt(_XMP_PNG, xmp)
    out = io.BytesIO()
    result.save(out, "PNG", pnginfo=info)
    return out.getvalue()


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.convert("RGB")).copy()


def _xmp_of(data: bytes) -> str:
    """Return the XMP packet of a picture file, or an empty text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                packet = image.info.get("xmp") or image.info.get(_XMP_PNG) or ""
    except (OSError, ValueError, SyntaxError):
        return ""
    return packet.decode("utf-8", "replace") if isinstance(packet, bytes) else str(packet)


def _require_same_labels(path: Path, content: bytes) -> None:
    """Refuse to replace the labels of other pictures. Raises DatasetError."""
    if not path.exists():
        return
    try:
        former = {name for name, _ in json.loads(read_bytes(path))["labels"] or ()}
    except (ValueError, KeyError, TypeError):
        former = {None}
    if not former <= {name for name, _ in json.loads(content)["labels"]}:
        raise DatasetError(
            "it has the labels of other pictures, which would be lost",
            where=path,
            fix="choose another --out, or move it away",
        )


def _renamed_labels(store: Store, targets: dict[str, PurePosixPath]) -> tuple[PurePosixPath, bytes] | None:
    """A dataset's labels under the results' names, and the file for them; None if it has no labels."""
    layout = Layout(store.names(), list(targets))
    file, listed = layout.find(LABELS_NAME), read_listed(store, layout, list(targets))
    if file is None or listed is None:
        return None
    place = PurePosixPath(plain_name(file))
    pairs = [
        [str(targets[name]).removeprefix(f"{place.parent}/"), label]
        for name, label in listed.by_picture.items()
    ]
    return place, json_text(read_json(store, file) | {"labels": pairs}).encode()
