"""What a collection on disk says: its facts, its items with their traits, and their sales.

One folder, readable without metagan:

    collection.json   Facts: name, source, licence, when, contract
    items.jsonl       one Item a line
    sales.jsonl       one Sale a line; only where sales are known
    images/           the pictures that items name

What isn't known is left out of the JSON, never written as null or 0.
"""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

FORMAT: Final = 1
FIRST_YEAR: Final = 1000
LAST_YEAR: Final = 2100


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Trait(_Record):
    """One property of an item, as ERC-721's metadata calls it.

    Args:
        type: What it is about, "Hat".
        value: Its value as text, "Crown"; numbers as JSON writes them.
        number: The value when it is a number or a date (seconds since 1970). Numbers are no part of rarity.
        display: ERC-721's `display_type`, "boost_number", where there is one.
    """

    type: str
    value: str
    number: float | None = None
    display: str | None = None


class Item(_Record):
    """One artwork.

    Args:
        id: Unlike every other item's.
        name: Its title.
        file: Its picture, a path below the collection's folder; None where there is none.
        sha256: That file's.
        traits: Its properties, each (type, value) once.
        price: Its newest known price, in `symbol`; 0 where it was given away.
        symbol: The token or currency of `price`.
        price_usd: The same in USD, where rates were given.
        sold_at: Unix time of the newest sale, seconds.
        sales: How often it was sold, where that is known.
        tokens: How many copies there are.
        royalty: Share of each later sale that goes to its creator, in percent.
        url: Where its picture came from.
        page: Where it is shown.
        missing: Why it has no picture.
        notes: What its source said that couldn't be used.
    """

    id: str = Field(min_length=1)
    name: str = ""
    description: str | None = None
    file: str | None = None
    sha256: str | None = None
    traits: tuple[Trait, ...] = ()
    price: float | None = Field(default=None, ge=0)
    symbol: str | None = None
    price_usd: float | None = Field(default=None, ge=0)
    sold_at: int | None = None
    sales: int | None = Field(default=None, ge=0)
    year: int | None = Field(default=None, ge=FIRST_YEAR, le=LAST_YEAR)
    type: str | None = None
    category: str | None = None
    creator: str | None = None
    series: str | None = None
    rights: str | None = None
    royalty: float | None = None
    tokens: float | None = None
    likes: int | None = Field(default=None, ge=0)
    nsfw: bool | None = None
    url: str | None = None
    page: str | None = None
    missing: str | None = None
    notes: tuple[str, ...] = ()


class Sale(_Record):
    """One sale of an item.

    Args:
        id: The item's.
        price: For one copy, in `symbol`.
        at: Unix time, seconds.
        transaction: Its hash on the chain; with `order` it tells sales apart.
    """

    id: str
    price: float = Field(ge=0)
    symbol: str
    price_usd: float | None = None
    at: int
    quantity: int = 1
    transaction: str | None = None
    order: str | None = None


class Contract(_Record):
    """Where a collection lives on a chain."""

    chain: str
    address: str


class SourceFacts(_Record):
    """Where a collection came from, so that the same call goes on with it.

    Args:
        kind: "opensea", "dicebear", "folder", "csv" or "subset".
        reference: What of it: a slug, a style, a path.
        options: What else decides which items there are.
    """

    kind: Literal["opensea", "dicebear", "folder", "csv", "subset"]
    reference: str
    options: dict[str, str | int | float | bool | list[str]] = {}


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and math.isfinite(value) and value == int(value) else value


class Facts(_Record):
    """What collection.json holds.

    Args:
        format: The version of this layout.
        fetched_at: UTC, ISO 8601: when the fetching began.
        complete: False while it is being fetched.
        count: How many items there are, once it is complete.
        attribution: Whom the licence asks to name.
    """

    format: Literal[1] = 1
    name: str
    title: str | None = None
    description: str | None = None
    source: SourceFacts
    licence: str | None = None
    licence_url: str | None = None
    attribution: str | None = None
    fetched_at: str
    complete: bool = False
    count: Annotated[int, BeforeValidator(_whole)] = 0
    contract: Contract | None = None
    category: str | None = None
    page: str | None = None
