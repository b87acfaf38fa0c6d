"""Reads ERC-721 `attributes` of all the kinds in use as traits.

ERC-721's metadata JSON schema does not define attributes; the marketplaces' metadata standard does: a list of objects
with `trait_type`, `value`, and for numbers and dates `display_type`. Art engines and contracts also write plain
mappings, lists of strings, booleans, missing types and nested values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from metagan.collection.model import Trait

UNTYPED: Final = "Property"  # marketplaces show an attribute without a type under such a heading
MAX_TRAITS: Final = 10_000
MAX_TEXT: Final = 2_000
_NUMERIC: Final = frozenset({"number", "boost_number", "boost_percentage", "date", "percentage"})
_TYPES: Final = ("trait_type", "traitType", "type", "name", "key")


def parse_attributes(attributes: object) -> tuple[tuple[Trait, ...], tuple[str, ...]]:
    """Return the traits in order, each (type, value) once, and a note for each attribute that can't be used.

    Args:
        attributes: The value of `attributes`, `traits` or `properties` in an item's metadata.
    """
    traits: dict[tuple[str, str], Trait] = {}
    notes = []
    for number, (kind, value, display) in enumerate(_pairs(attributes)):
        if number == MAX_TRAITS:
            notes.append(f"more than {MAX_TRAITS:,} traits; the others are left out")
            break
        if value is None or value == "":
            continue  # a missing value is a missing trait
        trait = _trait(kind, value, display)
        if trait is None:
            notes.append(f"trait {clean(kind, 60)!r}: value of type {type(value).__name__} left out")
        else:
            traits.setdefault((trait.type, trait.value), trait)
    return tuple(traits.values()), tuple(notes)


def clean(text: object, limit: int = MAX_TEXT) -> str:
    """Make untrusted text one line: no control characters, single spaces, at most `limit` characters."""
    shown = "".join(c if c.isprintable() else " " for c in str(text))
    return " ".join(shown.split())[:limit]


def _pairs(attributes: object) -> Iterator[tuple[str, Any, str | None]]:
    if isinstance(attributes, Mapping):
        yield from ((str(key), _unwrapped(value), None) for key, value in attributes.items())
    elif isinstance(attributes, Iterable) and not isinstance(attributes, (str, bytes)):
        for attribute in attributes:
            if isinstance(attribute, Mapping):
                kind = next((attribute[key] for key in _TYPES if attribute.get(key)), UNTYPED)
                display = attribute.get("display_type")
                yield str(kind), attribute.get("value"), display if isinstance(display, str) else None
            else:
                yield UNTYPED, attribute, None


def _unwrapped(value: object) -> object:
    # {"Hat": {"value": "Crown"}}, as the ERC-1155 schema's properties have it.
    return value.get("value") if isinstance(value, Mapping) else value


def _trait(kind: str, value: object, display: str | None) -> Trait | None:
    name = clean(kind, 200) or UNTYPED
    shown = clean(display, 60) if display else None
    if isinstance(value, bool):
        return Trait(type=name, value="true" if value else "false", display=shown)
    if isinstance(value, (int, float)):
        number = _finite(value)
        return (
            None
            if number is None
            else Trait(type=name, value=json.dumps(value), number=number, display=shown)
        )
    if not isinstance(value, str):
        return None
    text = clean(value)
    if not text:
        return None
    number = _finite(text) if display in _NUMERIC else None
    return Trait(type=name, value=text, number=number, display=shown)


def _finite(value: str | float) -> float | None:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
