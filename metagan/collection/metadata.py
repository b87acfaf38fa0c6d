"""Converts one item's metadata, as ERC-721, Metaplex and art engines write it, to an Item."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from metagan.collection.attributes import clean, parse_attributes
from metagan.collection.model import FIRST_YEAR, Item

MAX_DESCRIPTION: Final = 4_000
_MILLISECONDS_FROM: Final = (
    10**11
)  # art engines write `date` in milliseconds; in seconds this is the year 5138


def item_of_metadata(item_id: str, metadata: Mapping[str, Any]) -> Item:
    """Return an item; fields that are absent or have another type are left out."""
    traits, notes = parse_attributes(_attributes(metadata))
    return Item(
        id=item_id,
        name=clean(metadata.get("name") or f"#{item_id}", 300),
        description=clean(metadata["description"], MAX_DESCRIPTION) if metadata.get("description") else None,
        traits=traits,
        year=_year(metadata.get("date")),
        creator=_text(metadata.get("creator") or metadata.get("artist")),
        url=_text(metadata.get("image") or metadata.get("image_url")),
        page=_text(metadata.get("external_url")),
        notes=notes,
    )


def plausible_year(year: float) -> tuple[int | None, str | None]:
    """Return a year, or None with the reason why it isn't plausible."""
    latest = time.gmtime().tm_year + 1
    if year == int(year) and FIRST_YEAR <= year <= latest:
        return int(year), None
    return None, f"year {year:.15g}: want {FIRST_YEAR} to {latest}; left out"


def _attributes(metadata: Mapping[str, Any]) -> object:
    for key in ("attributes", "traits"):
        if metadata.get(key) is not None:
            return metadata[key]
    properties = metadata.get("properties")
    if isinstance(properties, Mapping) and "files" not in properties:
        return properties.get("attributes", properties)
    return ()


def _text(value: object) -> str | None:
    return clean(value) or None if isinstance(value, str) else None


def _year(date: object) -> int | None:
    if isinstance(date, bool) or not isinstance(date, (int, float)):
        return None
    try:
        seconds = date / 1000 if date >= _MILLISECONDS_FROM else date
        year = time.gmtime(seconds).tm_year
    except (OverflowError, OSError, ValueError):
        return None
    return plausible_year(year)[0] if seconds > 0 else None
