"""Draws metagan's own example collections, with their traits: apes, bagels and hummingbirds.

Item i depends on the collection, the seed and i only; `metagan dataset render` draws the same pictures. A trait that a
picture doesn't have, such as the hat of a bareheaded ape, is left out of the item.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from metagan.collection.model import Facts, Item, SourceFacts, Trait
from metagan.collection.pictures import Picture
from metagan.collection.sources.made import Made
from metagan.collection.store import now
from metagan.drawings.render import COLLECTIONS, draw_picture, traits_of
from metagan.errors import CollectionError
from metagan.values import ABSENT_TRAIT


@dataclass(frozen=True)
class DrawnSource:
    """A collection that metagan draws itself.

    Args:
        name: The collection's name.
        drawing: Which one: "apes", "bagels" or "hummingbirds".
        count: How many items.
        size_px: Their side.
        seed: Random seed; each seed gives another collection.
    """

    name: str
    drawing: str
    count: int = 10_000
    size_px: int = 128
    seed: int = 0

    def facts(self) -> Facts:
        """Return the collection's facts."""
        return Facts(
            name=self.name,
            description=f"Drawn by metagan (metagan dataset render {self.drawing}).",
            source=SourceFacts(
                kind="drawn",
                reference=self.drawing,
                options={"count": self.count, "size": self.size_px, "seed": self.seed},
            ),
            licence="CC0-1.0",
            fetched_at=now(),
        )

    def entries(self) -> Sequence[int]:
        """Return the items' numbers.

        Raises:
            CollectionError: If metagan draws no such collection.
        """
        if self.drawing not in COLLECTIONS:
            raise CollectionError(
                f"drawn:{self.drawing}: metagan draws no such collection",
                fix=f"choose one of {', '.join(COLLECTIONS)}",
            )
        return range(self.count)

    def remarks(self) -> Sequence[str]:
        """Return nothing: these collections need no remarks."""
        return ()

    def make(self, entry: int) -> Made:
        """Make item number `entry`."""
        return Made(self.item(entry), lambda: self.picture(entry), ".png")

    def item(self, entry: int) -> Item:
        """Return item number `entry` without its picture."""
        has = traits_of(self.drawing, self.seed, entry)
        traits = tuple(
            Trait(type=kind[:1].upper() + kind[1:], value=value)
            for kind, value in has.items()
            if value.lower() != ABSENT_TRAIT
        )
        return Item(id=str(entry), name=f"{COLLECTIONS[self.drawing].title} #{entry}", traits=traits)

    def picture(self, entry: int) -> Picture:
        """Draw the picture of item number `entry`."""
        out = io.BytesIO()
        Image.fromarray(draw_picture(self.drawing, self.seed, entry, self.size_px)[0]).save(out, "PNG")
        return Picture(out.getvalue(), ".png")
