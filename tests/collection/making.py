"""Collections for tests, written straight to disk."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from metagan.collection.model import Facts, Item, SourceFacts, Trait
from metagan.collection.pictures import Picture
from metagan.collection.sources.made import keep_picture
from metagan.collection.store import IMAGES_NAME, writing


def traits(**values: str) -> tuple[Trait, ...]:
    return tuple(Trait(type=kind.replace("_", " "), value=value) for kind, value in values.items())


def write(path: Path, items: Sequence[Item], **facts: object) -> Path:
    said = {"name": path.name, "fetched_at": "2026-01-01T00:00:00Z", "licence": "CC0-1.0"} | facts
    source = SourceFacts(kind="folder", reference="made for a test")
    with writing(path, Facts(source=source, **said)) as writer:  # type: ignore[arg-type]
        writer.finish(items)
    return path


def with_pictures(path: Path, items: Sequence[Item], pictures: Mapping[str, bytes]) -> Path:
    (path / IMAGES_NAME).mkdir(parents=True)
    kept = [
        keep_picture(path, item, Picture(pictures[item.id], ".png")) if item.id in pictures else item
        for item in items
    ]
    (path / ".lock").touch()
    return write(path, kept)


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def contents(folder: Path) -> dict[str, str]:
    """Every file's SHA-256 by its path below the folder."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def item(
    name: str, price: float, year: int, kind: str | None = None, *, nsfw: bool | None = None, **has: str
) -> Item:
    return Item(
        id=name, name=name, traits=traits(**has), price=price, symbol="ETH", year=year, type=kind, nsfw=nsfw
    )


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n"

# The example that is computed by hand: five items, two trait types, one missing trait, equal prices.
FIVE = (
    item("A", 1, 2019, "photo", Hat="Crown", Eyes="Blue"),
    item("B", 2, 2019, "photo", Hat="Cap", Eyes="Blue"),
    item("C", 2, 2020, "video", Hat="Cap", Eyes="Red"),
    item("D", 4, 2020, "photo", Eyes="Blue"),
    item("E", 100, 2021, nsfw=True, hat="cap ", Eyes="Blue"),
)
