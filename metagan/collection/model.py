"""The records of a collection on disk: its facts, its items with their traits, and their sales.

One folder, readable without metagan:

    collection.json   Facts: name, source, licence, when, contract
    items.jsonl       one Item a line
    sales.jsonl       one Sale a line; only where sales are known
    images/           the pictures that items name

Unknown values are left out of the JSON, never written as null or 0.
"""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

FORMAT: Final = 1
FIRST_YEAR: Final = 1000
LAST_YEAR: Final = 2100
MOST: Final = 1 << 53  # of counts: larger ones are no counts, and JSON's readers round them
LAST_SECOND: Final = 253_402_300_799  # of the year 9999


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Trait(_Record):
    """One property of an item, as ERC-721's metadata calls it.

    Args:
        type: Its type, such as "Hat".
        value: Its value as text, such as "Crown"; numbers as in JSON.
        number: The value if it is a number or a date (seconds since 1970). Numbers don't count for rarity.
        display: ERC-721's `display_type`, such as "boost_number".
    """

    type: str
    value: str
    number: float | None = None
    display: str | None = None


class Item(_Record):
    """One artwork.

    Args:
        id: Unique in the collection.
        name: Title.
        file: Path of the picture below the collection's folder, or None.
        sha256: The file's SHA-256.
        traits: Properties, each (type, value) once.
        price: Newest known price, in `symbol`; 0 for a gift.
        symbol: The token or currency of `price`.
        price_usd: The price in USD, if rates were given.
        sold_at: Unix time of the newest sale, seconds.
        sales: Number of sales, if known.
        tokens: Number of copies.
        royalty: The creator's share of later sales, in percent.
        url: Address of the original picture.
        page: Address of a page that shows the item.
        missing: Why the item has no picture.
        notes: Values of the source that couldn't be used.
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
    sold_at: int | None = Field(default=None, ge=0, le=LAST_SECOND)
    sales: int | None = Field(default=None, ge=0, le=MOST)
    year: int | None = Field(default=None, ge=FIRST_YEAR, le=LAST_YEAR)
    type: str | None = None
    category: str | None = None
    creator: str | None = None
    series: str | None = None
    rights: str | None = None
    royalty: float | None = None
    tokens: float | None = None
    likes: int | None = Field(default=None, ge=0, le=MOST)
    nsfw: bool | None = None
    url: str | None = None
    page: str | None = None
    missing: str | None = None
    notes: tuple[str, ...] = ()


class Sale(_Record):
    """One sale of an item.

    Args:
        id: The item's id.
        price: Price of one copy, in `symbol`.
        at: Unix time, seconds.
        transaction: The transaction's hash on the chain; with `order` it identifies the sale.
    """

    id: str
    price: float = Field(ge=0)
    symbol: str
    price_usd: float | None = None
    at: int = Field(ge=0, le=LAST_SECOND)
    quantity: int = Field(default=1, ge=1, le=MOST)
    transaction: str | None = None
    order: str | None = None


class Contract(_Record):
    """The contract of a collection on a chain."""

    chain: str
    address: str


class SourceFacts(_Record):
    """The source of a collection, by which the same command recognises and continues it.

    Args:
        kind: "opensea", "dicebear", "drawn", "folder", "csv" or "subset".
        reference: A slug, a style, the name of a drawn collection, or a path.
        options: Other options that decide which items there are.
    """

    kind: Literal["opensea", "dicebear", "drawn", "folder", "csv", "subset"]
    reference: str
    options: dict[str, str | int | float | bool | list[str]] = {}


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and math.isfinite(value) and value == int(value) else value


class Facts(_Record):
    """The content of collection.json.

    Args:
        format: The version of this layout.
        fetched_at: UTC, ISO 8601: when the fetching began.
        complete: False while the collection is being fetched.
        count: Number of items, once it is complete.
        attribution: The attribution that the licence requires.
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
