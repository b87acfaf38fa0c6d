"""Collections for tests, written straight to disk."""

from __future__ import annotations

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
    import io

    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


# The example that is computed by hand: five items, two trait types, one missing trait, equal prices.
FIVE = (
    Item(
        id="A",
        name="A",
        traits=traits(Hat="Crown", Eyes="Blue"),
        price=1,
        symbol="ETH",
        year=2019,
        type="photo",
    ),
    Item(
        id="B",
        name="B",
        traits=traits(Hat="Cap", Eyes="Blue"),
        price=2,
        symbol="ETH",
        year=2019,
        type="photo",
    ),
    Item(
        id="C", name="C", traits=traits(Hat="Cap", Eyes="Red"), price=2, symbol="ETH", year=2020, type="video"
    ),
    Item(id="D", name="D", traits=traits(Eyes="Blue"), price=4, symbol="ETH", year=2020, type="photo"),
    Item(
        id="E",
        name="E",
        traits=traits(hat="cap ", Eyes="Blue"),
        price=100,
        symbol="ETH",
        year=2021,
        nsfw=True,
    ),
)
