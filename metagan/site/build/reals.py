"""The originals of the game "which one exists?": pictures of the training data, at the size of the published ones.

Kept in the work folder:

    reals/KEY/NUMBER.EXT   the pictures, by a hash of where they come from, their size and their format
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metagan.collection.store import FACTS_NAME as COLLECTION_NAME
from metagan.collection.store import ITEMS_NAME
from metagan.collection.table import open_table
from metagan.datasets.decode import Fit, fit_picture
from metagan.datasets.source import PictureSource
from metagan.datasets.store import UnreadableError
from metagan.drawings.render import COLLECTIONS
from metagan.errors import CollectionError, DatasetError, OptionError
from metagan.files import write_bytes
from metagan.images.encode import ENCODER_VERSION, EXTENSIONS, encode
from metagan.registry.models import Subject
from metagan.site.build.build_dir import BuildDir, digest_of
from metagan.site.build.collections import (
    BUNDLED_COUNT,
    bundled_source,
    drawing_code,
    lets_show,
    picture_file,
)
from metagan.site.build.picture_cache import UPSCALING_VERSION, PictureCache
from metagan.site.pages.content import RealPicture, RealsContent
from metagan.site.pages.views import web_address, without_controls
from metagan.values import Size

REALS_COUNT: Final = 100
"""How many are put on the site at most, if it has as many made ones; a day's round takes ten of them."""

REALS_VERSION: Final = 1  # increase it when the same original would give other pixels


@dataclass(frozen=True)
class OpenedReals:
    """A subject's training pictures, opened.

    Args:
        origin: What they are, for readers.
        licence: Their licence, which lets anybody show them.
        attribution: The attribution that it requires, or None.
        total: How many there are.
        name: Returns a picture's name and the address of its page by number.
        draw: Returns a picture of a size by number; raises UnreadableError.
    """

    origin: str
    licence: str
    attribution: str | None
    total: int
    name: Callable[[int], tuple[str, str | None]]
    draw: Callable[[int, Size], Image.Image]


def open_reals(subject: Subject) -> OpenedReals | None:
    """Open a subject's training pictures; None if the registry names none.

    Raises:
        DatasetError: If the zip is damaged or has no pictures.
        CollectionError: If the collection is incomplete or damaged.
        OptionError: If no licence is known, or it doesn't let everybody show the pictures.
    """
    ref = subject.reals
    if ref is None:
        return None
    if ref.kind == "bundled":
        opened = _bundled(ref.location)
    elif Path(ref.location).is_dir():
        opened = _collected(Path(ref.location), subject.reals_licence)
    else:
        opened = _packed(Path(ref.location), subject.reals_licence)
    if not lets_show(opened.licence):
        stated = (
            f"licence {opened.licence!r} doesn't let everybody show them" if opened.licence else "no licence"
        )
        raise OptionError(
            f"want pictures whose licence lets everybody show them, got {stated}",
            fix="remove the key"
            + (
                ""
                if opened.licence
                else ", or write the pictures' licence, for example `reals_licence: CC0-1.0`"
            ),
        )
    return opened


def _bundled(name: str) -> OpenedReals:
    source = bundled_source(name, 1)
    facts = source.facts()
    return OpenedReals(
        f"{name} that {'metagan' if name in COLLECTIONS else 'DiceBear'} drew",
        facts.licence or "",
        facts.attribution,
        BUNDLED_COUNT,
        lambda number: (source.make(number).item.name or str(number), None),
        partial(_draw, name),
    )


def _draw(name: str, number: int, size: Size) -> Image.Image:
    """Draw a picture at its longer side and cut the middle out, as training data are cut."""
    draw = bundled_source(name, size.longest).make(number).picture
    if draw is None:
        raise AssertionError("every item of a bundled collection has a picture")
    return _fit(draw().data, size)


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _collected(folder: Path, licence: str | None) -> OpenedReals:
    table = open_table(folder)
    rows = [row for row, file in enumerate(table.items["file"].to_list()) if file]
    if not rows:
        raise CollectionError("none of its items has a picture", where=folder, fix="fetch them")
    names, pages = table.items["name"].to_list(), table.items["page"].to_list()
    ids = table.items["id"].to_list()

    def draw(number: int, size: Size) -> Image.Image:
        data = picture_file(table, rows[number])
        if data is None:
            raise UnreadableError("missing")
        return _fit(data, size)

    def name(number: int) -> tuple[str, str | None]:
        row = rows[number]
        return (names[row] or "").strip() or ids[row], pages[row]

    facts = table.facts
    return OpenedReals(table.title, facts.licence or licence or "", facts.attribution, len(rows), name, draw)


def _packed(file: Path, licence: str | None) -> OpenedReals:
    source = PictureSource(file, labelled=False)
    stated, attribution = source.facts.get("licence"), source.facts.get("attribution")

    def draw(number: int, size: Size) -> Image.Image:
        try:
            pixels = source.pixels(number)
        except DatasetError as error:
            raise UnreadableError(error.what) from error
        return _fit(_png(Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))), size)

    return OpenedReals(
        str(source.facts.get("collection") or file.stem),
        str(stated) if stated else licence or "",
        str(attribution) if attribution else None,
        len(source),
        lambda number: (f"No. {number}", None),
        draw,
    )


def _fit(data: bytes, size: Size) -> Image.Image:
    return fit_picture(data, Fit(size, resample="auto")).image


def digest_of_reals(subject: Subject, build_dir: BuildDir) -> str | None:
    """Hash what a subject's originals are made from; None if it has none."""
    ref = subject.reals
    if ref is None:
        return None
    if ref.kind == "bundled":
        return digest_of(ref.text, drawing_code(ref.location))
    path = Path(ref.location)
    files = [path / COLLECTION_NAME, path / ITEMS_NAME] if path.is_dir() else [path]
    return digest_of(str(path), *(build_dir.sha256(file) for file in files if file.is_file()))


def reals_folder(cache: PictureCache, size: Size, build_dir: BuildDir) -> Path:
    """Return where the work folder keeps a subject's originals."""
    subject, upscaler = cache.subject, cache.upscaler.sha256 if cache.upscaler else None
    made_from = (digest_of_reals(subject, build_dir), size, upscaler, subject.format)
    key = digest_of(*made_from, REALS_VERSION, UPSCALING_VERSION, ENCODER_VERSION)
    return build_dir.folder / "reals" / key


def _enlarger(cache: PictureCache) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """Return what enlarges a picture [h, w, 3] as the subject's pictures are enlarged."""
    if cache.upscaler_weights is None:
        return lambda pixels: pixels
    from metagan.networks.upscaler import load_upscaler
    from metagan.sampling.upscale import upscale_pictures

    upscaler = load_upscaler(cache.upscaler_weights)
    return lambda pixels: upscale_pictures(upscaler, [pixels])[0]


def make_reals(
    opened: OpenedReals, cache: PictureCache, size: Size, build_dir: BuildDir
) -> tuple[RealsContent, dict[str, Path]]:
    """Make a subject's originals as its pictures are made, and return their files by path on the site.

    They have the size that the generator draws at, are enlarged by the same upscaler, if there is one, and encoded
    alike. They are spread over the whole training data, and not more than the subject's published pictures. Unreadable
    ones are left out.

    Raises:
        DatasetError: If none of them can be read.
    """
    subject, enlarge = cache.subject, None
    kept, suffix = reals_folder(cache, size, build_dir), EXTENSIONS[subject.format]
    folder = f"pictures/{subject.slug}/which"
    pictures, files = [], {}
    count = min(REALS_COUNT, len(subject.seeds), opened.total)
    for number in (i * opened.total // count for i in range(count)):
        file = kept / f"{number}.{suffix}"
        if not (file.is_file() and file.stat().st_size):
            try:
                pixels = np.asarray(opened.draw(number, size).convert("RGB"))
            except UnreadableError:
                continue
            enlarge = enlarge or _enlarger(cache)
            write_bytes(file, encode(enlarge(pixels), subject.format))
        name, page = opened.name(number)
        pictures.append(RealPicture(number, without_controls(name), web_address(page) if page else None))
        files[f"{folder}/{file.name}"] = file
    if not pictures:
        raise DatasetError("none of its pictures can be read", where=opened.origin, fix="pack them again")
    attribution = without_controls(opened.attribution) if opened.attribution else None
    content = RealsContent(
        without_controls(opened.origin),
        without_controls(opened.licence),
        attribution,
        opened.total,
        folder,
        tuple(pictures),
    )
    return content, files
