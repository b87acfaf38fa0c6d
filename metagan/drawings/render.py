"""Draws the example collections. Each has a module that makes pictures and traits from a seed.

Picture i depends only on (seed, i), not on the count or the number of processes. A larger collection therefore begins
with the smaller one, and traits are the same at every resolution. The collections are CC0.
"""

from __future__ import annotations

import importlib
import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metagan import __version__
from metagan.datasets.archive import picture_name, writing_dataset
from metagan.datasets.pool import OrderedPool
from metagan.errors import OptionError

Rendered = tuple[bytes, dict[str, str]]  # a PNG file and its traits


# The `draw` of a collection's module: from (generator, resolution) to RGB [resolution, resolution, 3] and traits.
Draw = Callable[[np.random.Generator, int], tuple[NDArray[np.uint8], dict[str, str]]]


@dataclass(frozen=True)
class Collection:
    """An example collection.

    Args:
        module: The module with its `draw`.
        title: The title of a single picture.
        description: The description in every picture's metadata.
    """

    module: str
    title: str
    description: str


COLLECTIONS: Final = {
    "apes": Collection(
        "metagan.drawings.apes", "Ape", "An ape that does not exist, drawn by metagan in layers. CC0."
    ),
    "hummingbirds": Collection(
        "metagan.drawings.hummingbirds",
        "Hummingbird",
        "A hummingbird that does not exist, drawn by metagan. CC0.",
    ),
    "bagels": Collection(
        "metagan.drawings.bagels", "Bagel", "A bagel that does not exist, ray-marched by metagan. CC0."
    ),
}


@dataclass(frozen=True)
class RenderReport:
    """The result of rendering.

    Args:
        path: The dataset zip.
        count: Pictures in it.
        resolution: Their side in pixels.
        traits: The number of pictures by trait and value, most frequent value first.
    """

    path: Path
    count: int
    resolution: int
    traits: dict[str, dict[str, int]]


def load_draw(name: str) -> Draw:
    """Return the drawing function of the collection `name`, a key of COLLECTIONS."""
    return cast("Draw", importlib.import_module(COLLECTIONS[name].module).draw)


def draw_picture(
    name: str, seed: int, index: int, resolution: int
) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """Draw picture `index` of a collection with a seed, RGB [resolution, resolution, 3], and return its traits."""
    return load_draw(name)(_rng(seed, index), resolution)


def traits_of(name: str, seed: int, index: int) -> dict[str, str]:
    """Return the traits of picture `index` of a collection with a seed, without drawing it."""
    draw_traits = importlib.import_module(COLLECTIONS[name].module).draw_traits
    return cast("dict[str, str]", draw_traits(_rng(seed, index)))


def _rng(seed: int, index: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))


def metadata(name: str, index: int, traits: dict[str, str]) -> dict[str, Any]:
    """Return the marketplace metadata of picture `index`: ERC-721, with `attributes` for the traits."""
    collection = COLLECTIONS[name]
    return {
        "name": f"{collection.title} #{index}",
        "description": collection.description,
        "image": picture_name(index),
        "attributes": [{"trait_type": trait, "value": value} for trait, value in traits.items()],
    }


def render(
    name: str,
    out: Path,
    *,
    count: int,
    resolution: int,
    seed: int = 0,
    label: str | None = None,
    workers: int = 0,
    advance: Callable[[int], None] = lambda _: None,
) -> RenderReport:
    """Draw a collection into a dataset zip, with a metadata file for each picture.

    Args:
        name: A key of COLLECTIONS.
        out: The zip.
        count: How many pictures.
        resolution: Their side in pixels.
        seed: Random seed; each seed gives another collection.
        label: The trait whose values become labels, or None for no labels.
        workers: Number of processes; 0 draws in this one.
        advance: Called with the number of further pictures done.

    Raises:
        OptionError: If the collection has no trait `label`.
        DatasetError: If the zip can't be written.
    """
    known = draw_picture(name, seed, 0, resolution)[1]
    if label is not None and label not in known:
        raise OptionError(
            f"--label {label}: {name} do not have this trait", fix=f"choose one of {', '.join(known)}"
        )
    pool = OrderedPool(partial(_rendered, name, seed, resolution), workers, _died)
    everything: list[dict[str, str]] = []
    with writing_dataset(out) as writer:
        for index, (png, traits) in enumerate(pool.map(range(count))):
            writer.add(png, metadata(name, index, traits))
            everything.append(traits)
            advance(1)
        names = sorted({traits[label] for traits in everything}) if label else []
        labels = [names.index(traits[label]) for traits in everything] if label else None
        writer.finish(labels, _facts(name, seed, resolution, label), names if label else ())
    return RenderReport(out, count, resolution, _count_traits(everything))


def _rendered(name: str, seed: int, resolution: int, index: int) -> Rendered:
    picture, traits = draw_picture(name, seed, index, resolution)
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue(), traits


def _died(index: int) -> Rendered:
    raise OptionError(
        f"picture {index}: its process was killed",
        fix="try again with fewer --workers, or a smaller --resolution",
    )


def _facts(name: str, seed: int, resolution: int, label: str | None) -> dict[str, Any]:
    facts = {"made_by": f"metagan {__version__}", "collection": name, "seed": seed, "resolution": resolution}
    facts["licence"] = "CC0-1.0"
    return facts | ({"label_trait": label} if label else {})


def _count_traits(everything: list[dict[str, str]]) -> dict[str, dict[str, int]]:
    counters: dict[str, Counter[str]] = {}
    for traits in everything:
        for trait, value in traits.items():
            counters.setdefault(trait, Counter())[value] += 1
    return {trait: dict(counter.most_common()) for trait, counter in counters.items()}
