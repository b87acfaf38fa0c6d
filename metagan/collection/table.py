"""A collection as polars tables, with the type of every column fixed in advance.

polars rather than duckdb, because its expressions are typed Python: untrusted text never becomes part of a query. Users
can read the same files with either.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from metagan.collection.model import FIRST_YEAR, LAST_YEAR, Facts, Item
from metagan.collection.needs import need
from metagan.collection.store import ITEMS_NAME, json_bytes, read_complete_facts
from metagan.errors import CollectionError
from metagan.files import utf8_path
from metagan.values import printable

if TYPE_CHECKING:
    import polars as pl

_TEXTS: Final = (
    *("id", "name", "file", "sha256", "symbol", "type", "category", "creator", "series", "rights", "url"),
    *("page", "missing"),
)
_NUMBERS: Final = ("price", "price_usd", "royalty", "tokens")
_WHOLES: Final = ("sold_at", "sales", "year", "likes")


@dataclass(frozen=True)
class Table:
    """A collection as tables.

    Args:
        path: The collection's folder.
        facts: The collection's facts.
        items: One item per row, in order: `row` (0, 1, ...) and Item's fields.
    """

    path: Path
    facts: Facts
    items: pl.DataFrame

    @property
    def title(self) -> str:
        """Title, or name."""
        return self.facts.title or self.facts.name

    def with_types(self, keys: Collection[str]) -> Table:
        """Return the same items with only the traits of some types, given in lower case."""
        import polars as pl

        key = pl.element().struct.field("type").str.strip_chars().str.to_lowercase()
        kept = pl.col("traits").list.eval(pl.element().filter(key.is_in(sorted(keys))))
        return replace(self, items=self.items.with_columns(traits=kept))

    @cached_property
    def traits(self) -> pl.DataFrame:
        """A trait per row: `row` of its item, `type`, `value`, `number`, and `type_key`, `value_key` in lower case."""
        import polars as pl

        return (
            self.items.select("row", "traits")
            .explode("traits")
            .drop_nulls("traits")
            .unnest("traits")
            .with_columns(
                type_key=pl.col("type").str.strip_chars().str.to_lowercase(),
                value_key=pl.col("value").str.strip_chars().str.to_lowercase(),
            )
        )

    @cached_property
    def text_traits(self) -> pl.DataFrame:
        """The traits that count for rarity: no numbers or dates, and each (type, value) once per item."""
        import polars as pl

        return self.traits.filter(pl.col("number").is_null()).unique(
            ["row", "type_key", "value_key"], keep="first", maintain_order=True
        )


def open_table(path: Path) -> Table:
    """Open a complete collection as a table.

    Raises:
        CollectionError: If there is none, it is incomplete, a line is invalid, or polars is not installed.
    """
    pl = need("polars")
    facts = read_complete_facts(path)
    file = path / ITEMS_NAME
    if not file.is_file():
        raise CollectionError("missing", where=file, fix="put it back, or fetch the collection anew")
    if file.stat().st_size == 0:
        raise CollectionError("no items in it", where=path, fix="fetch more, or choose less strictly")
    try:
        with utf8_path(file) as readable:
            items = pl.read_ndjson(readable, schema=_schema(pl))
    except pl.exceptions.PolarsError as error:
        raise CollectionError(
            f"not lines of JSON as metagan writes them ({str(error).splitlines()[0][:200]})",
            where=file,
            fix="mend it, or fetch the collection anew",
        ) from error
    _refuse_impossible(file, items)
    return Table(path, facts, items.with_row_index("row"))


def _refuse_impossible(file: Path, items: pl.DataFrame) -> None:
    """Refuse numbers that Item refuses: a table may be written by anybody.

    Raises:
        CollectionError: If there is one; the error names the item.
    """
    import polars as pl

    for name in ("price", "price_usd", "sales", "likes", "year"):
        allowed = pl.col(name) >= 0
        if name == "year":
            allowed = pl.col(name).is_between(FIRST_YEAR, LAST_YEAR)
        wrong = items.filter(~allowed)  # unknown values are allowed
        if wrong.height:
            raise CollectionError(
                f"item {printable(wrong['id'][0] or '')!r}: {name} {wrong[name][0]} can't be",
                where=file,
                fix="mend that line, or fetch the collection anew",
            )


def item_lines(items: Iterable[Item]) -> bytes:
    """Return items as a collection's file of items holds them: JSON, one a line."""
    return b"".join(json_bytes(item, exclude_defaults=True) + b"\n" for item in items)


def table_of(path: Path, facts: Facts, lines: bytes) -> Table:
    """Return items in memory, as `item_lines` writes them, as a table; `path` names them in messages."""
    pl = need("polars")
    return Table(path, facts, pl.read_ndjson(io.BytesIO(lines), schema=_schema(pl)).with_row_index("row"))


def _schema(pl: Any) -> dict[str, Any]:
    trait = pl.Struct({"type": pl.String, "value": pl.String, "number": pl.Float64, "display": pl.String})
    return (
        dict.fromkeys(_TEXTS, pl.String)
        | dict.fromkeys(_NUMBERS, pl.Float64)
        | dict.fromkeys(_WHOLES, pl.Int64)
        | {"nsfw": pl.Boolean, "traits": pl.List(trait), "notes": pl.List(pl.String)}
    )
