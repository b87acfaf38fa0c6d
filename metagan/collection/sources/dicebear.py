"""Draws collections with DiceBear: pictures with traits by seed, on this machine.

Item i depends on the style, the seed and i only, so a larger collection begins with the smaller one. A DiceBear style
has parts in variants, which may be absent, and colours; each becomes a trait. How a part is placed and turned doesn't.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from metagan.collection.model import Facts, Item, SourceFacts, Trait
from metagan.collection.needs import need
from metagan.collection.pictures import Picture
from metagan.collection.sources.made import Made
from metagan.collection.store import now
from metagan.collection.svg import render_svg
from metagan.errors import CollectionError

DEFAULT_STYLE: Final = "planets"  # CC0
MAX_COUNT: Final = 10_000_000
_SPDX: Final = {"CC0 1.0": "CC0-1.0", "CC BY 4.0": "CC-BY-4.0", "MIT": "MIT"}
_STILL: Final = frozenset({"animation"})  # drawn as it begins, so that no picture shows it
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


@dataclass(frozen=True)
class DicebearSource:
    """A style of DiceBear.

    Args:
        name: The collection's name.
        style: Which style, one of `style_names()`.
        count: How many items.
        size_px: Their side.
        seed: Random seed; each seed gives another collection.
    """

    name: str
    style: str = DEFAULT_STYLE
    count: int = 10_000
    size_px: int = 128
    seed: int = 0

    def facts(self) -> Facts:
        """Return the collection's facts, with the style's licence and attribution."""
        # From the definition itself: a Style checks all of it first, for seconds.
        meta = _definition(self.style).get("meta", {})
        licence, creator, source = (meta.get(key, {}) for key in ("license", "creator", "source"))
        by = source.get("name") or self.style
        if creator.get("name"):
            by = f"{by} by {creator['name']}"
        where = f" ({source['url']})" if source.get("url") else ""
        name = licence.get("name")
        return Facts(
            name=self.name,
            description=f"Drawn by DiceBear, style {self.style}.",
            source=SourceFacts(
                kind="dicebear",
                reference=self.style,
                options={"count": self.count, "size": self.size_px, "seed": self.seed},
            ),
            licence=_SPDX.get(name, name) if name else None,
            licence_url=licence.get("url"),
            attribution=f"{by}{where}",
            fetched_at=now(),
        )

    def entries(self) -> Sequence[int]:
        """Return the items' numbers."""
        _style(self.style)  # an unknown one is refused before anything is written
        return range(self.count)

    def remarks(self) -> Sequence[str]:
        """Return nothing: a style needs no remarks."""
        return ()

    def make(self, entry: int) -> Made:
        """Make item number `entry`."""
        avatar = need("dicebear").Avatar(_style(self.style), {"seed": f"{self.seed}-{entry}"})
        drawn = avatar.to_json()
        item = Item(id=str(entry), name=f"{self.name} #{entry}", traits=traits_of(drawn["options"]))
        return Made(item, lambda: self._draw(drawn["svg"]), ".png")

    def _draw(self, svg: str) -> Picture:
        return Picture(render_svg(svg, self.size_px, self.size_px, fonts="<text" in svg), ".png")


def style_names() -> list[str]:
    """Return the names of all installed styles.

    Raises:
        CollectionError: If none is installed.
    """
    need("dicebear_styles")
    files = (entry.name for entry in resources.files("dicebear_styles").iterdir())
    return sorted(name.removesuffix(".json") for name in files if name.endswith(".json"))


def traits_of(options: Mapping[str, Any]) -> tuple[Trait, ...]:
    """Return the traits in the options that DiceBear drew a picture with: variants and colours."""
    traits = []
    for option, value in options.items():
        if option.endswith("Variant") and isinstance(value, str):
            part = option.removesuffix("Variant")
            if part not in _STILL:
                traits.append(Trait(type=_readable(part), value=_readable(value)))
        elif option.endswith("Color") and isinstance(value, list) and value:
            traits.append(
                Trait(type=f"{_readable(option.removesuffix('Color'))} colour", value=" ".join(value))
            )
    return tuple(sorted(traits, key=lambda trait: trait.type))


def _readable(name: str) -> str:
    # "hairAccessories" is "Hair accessories", "variant07" is "Variant 7".
    words = [word.lstrip("0") or "0" if word.isdigit() else word.lower() for word in _WORDS.findall(name)]
    text = " ".join(words) or name
    return text[:1].upper() + text[1:]


@cache
def _style(name: str) -> Any:
    return need("dicebear").Style(_definition(name))


@cache
def _definition(name: str) -> dict[str, Any]:
    names = style_names()
    if name not in names:
        import difflib

        close = difflib.get_close_matches(name, names, n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise CollectionError(
            f"dicebear:{name}: no such style", fix=f"{meant}choose one of {', '.join(names)}"
        )
    definition: dict[str, Any] = json.loads(
        (resources.files("dicebear_styles") / f"{name}.json").read_text("utf-8")
    )
    return definition
