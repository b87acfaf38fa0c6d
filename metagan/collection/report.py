"""Writes a report about one or several collections: a page, a JSON file and a CSV file."""

from __future__ import annotations

import dataclasses
import math
import os
import posixpath
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import numpy as np

from metagan import __version__
from metagan.collection import charts
from metagan.collection.cells import csv_bytes
from metagan.collection.prices import (
    TRIM_DEFINITION,
    Correlation,
    PriceStats,
    PriceTable,
    currencies,
    log_histogram,
    price_tables,
    priced_items,
    spearman,
)
from metagan.collection.rarity import score_items
from metagan.collection.store import now
from metagan.collection.table import Table, open_table
from metagan.collection.traits import (
    NeverMet,
    NumberTrait,
    TraitAccuracy,
    TypeCount,
    ValueCount,
    never_met,
    number_traits,
    traits_per_item,
    type_counts,
    value_counts,
)
from metagan.files import write_bytes
from metagan.values import counted, json_text, text_of

if TYPE_CHECKING:
    import polars as pl

_MOST_LISTED: Final = 20
_MOST_BARS: Final = 30
_RAREST_SHOWN: Final = 12
_MOST_CURRENCIES: Final = 4
_GROUPS: Final = ("type", "category", "rights")


@dataclass(frozen=True)
class Prices:
    """The prices of a collection in one currency.

    Args:
        currency: Such as "ETH"; empty if the source names none.
        edges: Edges of the histogram of log10 prices.
        counts: Counts of the histogram.
        relation: Rank correlation of rarity (rarity.tools) and price.
    """

    currency: str
    tables: tuple[PriceTable, ...]
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    relation: Correlation | None


@dataclass(frozen=True)
class RankedItem:
    """An item with its rarity, as the report shows it."""

    id: str
    name: str
    file: str | None
    rarity: float
    rarity_rank: int
    information: float
    information_rank: int
    unique_traits: int
    openrarity_rank: int


@dataclass(frozen=True)
class Analysis:
    """The content of the report about one collection."""

    path: Path
    name: str
    items: int
    pictures: int
    licence: str | None
    attribution: str | None
    years: tuple[tuple[int, int], ...]
    groups: dict[str, tuple[tuple[str, int], ...]]
    free: int
    prices: tuple[Prices, ...]
    types: tuple[TypeCount, ...]
    numbers: tuple[NumberTrait, ...]
    common: tuple[ValueCount, ...]
    rare: tuple[ValueCount, ...]
    values: int
    per_item: tuple[tuple[int, int], ...]
    never_met: tuple[NeverMet, ...]
    missing_counts: bool
    rarest: tuple[RankedItem, ...]
    notes: tuple[tuple[str, str], ...]
    charts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A written report: its page and its content."""

    page: Path
    analyses: tuple[Analysis, ...]


def write_report(
    collections: Sequence[Path],
    out: Path,
    *,
    trims: Sequence[float] = (1.0, 5.0),
    missing: bool = True,
    told: Sequence[TraitAccuracy] = (),
) -> Report:
    """Write index.html, index.json and rarity.csv about collections into a folder.

    Args:
        collections: Folders of collections, shown side by side.
        out: Folder of the report; created if necessary.
        trims: Percentages trimmed at both ends, a table each.
        missing: Whether missing traits count for rarity.
        told: Accuracy of a classifier for each trait type; see `metagan collection traits`.

    Raises:
        CollectionError: If a collection can't be read.
    """
    tables = [open_table(path) for path in collections]
    scores = [score_items(table, missing=missing) for table in tables]
    analyses = tuple(
        _analyse(table, score, trims, missing) for table, score in zip(tables, scores, strict=True)
    )
    across = _charts_across(tables, analyses)
    write_bytes(out / "rarity.csv", _rarity_csv(tables, scores))
    write_bytes(out / "index.json", _json(analyses, told))
    page = out / "index.html"
    write_bytes(page, text_of(_html(analyses, across, out, told)).encode())
    return Report(page, analyses)


def _analyse(table: Table, scores: pl.DataFrame, trims: Sequence[float], missing: bool) -> Analysis:
    import polars as pl

    items = table.items
    values = value_counts(table)
    years = items.drop_nulls("year").group_by("year").agg(count=pl.len()).sort("year")
    prices = tuple(
        _prices(table, scores, currency, trims) for currency in currencies(table)[:_MOST_CURRENCIES]
    )
    analysis = Analysis(
        path=table.path,
        name=table.title,
        items=items.height,
        pictures=items["file"].count(),
        licence=table.facts.licence,
        attribution=table.facts.attribution,
        years=tuple(years.iter_rows()),
        groups={name: _grouped(items, name) for name in _GROUPS if items[name].count()},
        free=items.filter(pl.col("price") == 0).height,
        prices=prices,
        types=tuple(type_counts(table)),
        numbers=tuple(number_traits(table)),
        common=tuple(values[:_MOST_LISTED]),
        rare=tuple(sorted(values, key=lambda value: (value.count, value.type, value.value))[:_MOST_LISTED]),
        values=len(values),
        per_item=tuple(traits_per_item(table)),
        never_met=tuple(never_met(table, _MOST_LISTED)),
        missing_counts=missing,
        rarest=_rarest(table, scores),
        notes=_notes(items),
    )
    return dataclasses.replace(analysis, charts=_charts(table, scores, analysis))


def _prices(table: Table, scores: pl.DataFrame, currency: str, trims: Sequence[float]) -> Prices:
    priced = priced_items(table, currency)
    paid = priced["paid"].to_numpy()
    edges, counts = log_histogram(paid)
    relation = (
        spearman(priced.join(scores, on="row")["rarity"].to_numpy(), np.log10(paid))
        if table.traits.height
        else None
    )
    return Prices(
        currency, tuple(price_tables(priced, trims)), tuple(edges.tolist()), tuple(counts.tolist()), relation
    )


def _grouped(items: pl.DataFrame, name: str) -> tuple[tuple[str, int], ...]:
    import polars as pl

    counts = items.group_by(pl.col(name).fill_null("not said")).agg(count=pl.len())
    return tuple(counts.sort("count", name, descending=[True, False]).iter_rows())


def _rarest(table: Table, scores: pl.DataFrame) -> tuple[RankedItem, ...]:
    if not table.text_traits.height:
        return ()
    first = scores.sort("rarity_rank", "row").head(_MOST_LISTED)
    shown = first.join(table.items.select("row", "id", "name", "file"), on="row", maintain_order="left").drop(
        "row"
    )
    return tuple(RankedItem(**row) for row in shown.iter_rows(named=True))


def _notes(items: pl.DataFrame) -> tuple[tuple[str, str], ...]:
    import polars as pl

    missing = items.drop_nulls("missing").select("id", pl.format("no picture: {}", "missing"))
    notes = items.select("id", "notes").explode("notes").drop_nulls("notes")
    return (*missing.iter_rows(), *notes.iter_rows())


def _charts(table: Table, scores: pl.DataFrame, analysis: Analysis) -> dict[str, str]:
    """Return the charts by the section that shows them."""
    drawn = {}
    if analysis.years:
        counts = dict(analysis.years)
        span = range(min(counts), max(counts) + 1)
        labels = [str(year) for year in span]
        drawn["years"] = charts.bars(
            labels, [counts.get(year, 0) for year in span], "Items by year of creation", "year"
        )
        values = table.items["year"].drop_nulls().to_list()
        drawn["density"] = charts.density(
            [charts.Series(analysis.name, values)], "Density of the years of creation", "year"
        )
    for name, group in analysis.groups.items():
        most = group[:_MOST_BARS]
        drawn[name] = charts.horizontal_bars(
            [label for label, _ in most], [count for _, count in most], f"Items by {name}"
        )
    for number, prices in enumerate(analysis.prices):
        title = f"Prices in {prices.currency or 'their currency'}, powers of ten"
        drawn[f"prices{number}"] = charts.histogram(
            prices.edges, prices.counts, title, "price (logarithmic)", logs=True
        )
        if prices.relation:
            pairs = priced_items(table, prices.currency).join(scores, on="row")
            drawn[f"scatter{number}"] = charts.scatter(
                pairs["rarity"].to_numpy(),
                np.log10(pairs["paid"].to_numpy()),
                f"Rarity against price: {prices.relation.words}",
                "rarity score",
                f"price ({prices.currency or 'logarithmic'})",
            )
    if analysis.types:
        labels, counts_of = (
            [str(traits) for traits, _ in analysis.per_item],
            [n for _, n in analysis.per_item],
        )
        drawn["per_item"] = charts.bars(labels, counts_of, "Items by number of traits", "traits")
        kinds = sorted(analysis.types, key=lambda kind: -kind.values)[:_MOST_BARS]
        drawn["types"] = charts.horizontal_bars(
            [kind.type for kind in kinds], [kind.values for kind in kinds], "Values of each trait type"
        )
    return drawn


def _charts_across(tables: Sequence[Table], analyses: Sequence[Analysis]) -> dict[str, str]:
    """Return the charts that show several collections together."""
    import polars as pl

    drawn = {}
    strips = [
        charts.Series(
            f"{analysis.name}, {prices.currency}" if prices.currency else analysis.name,
            priced_items(table, prices.currency).select(pl.col("paid").log10())["paid"].to_list(),
        )
        for table, analysis in zip(tables, analyses, strict=True)
        for prices in analysis.prices
    ]
    if strips:
        drawn["strips"] = charts.strips(
            strips, "Every price, a dot each, on a logarithmic scale", "price (logarithmic)"
        )
    years = [
        charts.Series(a.name, t.items["year"].drop_nulls().to_list())
        for t, a in zip(tables, analyses, strict=True)
    ]
    if len(tables) > 1 and any(one.values for one in years):
        drawn["density"] = charts.density(years, "Density of the years of creation, a line each", "year")
    return drawn


def _rarity_csv(tables: Sequence[Table], scores: Sequence[pl.DataFrame]) -> bytes:
    header = ["collection", "id", "name", *scores[0].columns[1:]]
    rows = []
    for table, score in zip(tables, scores, strict=True):
        joined = (
            table.items.select("row", "id", "name").join(score, on="row", maintain_order="left").drop("row")
        )
        rows += [(table.title, *row) for row in joined.iter_rows()]
    return csv_bytes(header, rows)


def _json(analyses: Sequence[Analysis], told: Sequence[TraitAccuracy]) -> bytes:
    shown: list[dict[str, Any]] = []
    for analysis in analyses:
        one = dataclasses.asdict(analysis)
        del one["charts"]
        shown.append(one | {"path": str(analysis.path)})
    document: dict[str, Any] = {
        "made_by": f"metagan {__version__}",
        "trimming": TRIM_DEFINITION,
        "collections": shown,
    }
    if told:
        document["told"] = [dataclasses.asdict(one) for one in told]
    return json_text(_finite(document), 1).encode() + b"\n"


def _finite(value: Any) -> Any:
    """Return a value for JSON, with null for numbers that JSON doesn't have."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _html(
    analyses: Sequence[Analysis], across: dict[str, str], out: Path, told: Sequence[TraitAccuracy]
) -> str:
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("metagan.collection", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _ROWS | {"number": _number, "counted": counted}

    def picture(analysis: Analysis, item: RankedItem) -> str:
        if item.file is None:
            return ""
        relative = os.path.relpath(analysis.path / item.file, out).replace(os.sep, posixpath.sep)
        return quote(os.fsencode(relative))

    return environment.get_template("report.html.j2").render(
        analyses=analyses,
        across=across,
        told=sorted(told, key=lambda one: (not one.kept, one.type)),
        trimming=TRIM_DEFINITION,
        picture=picture,
        rarest_shown=_RAREST_SHOWN,
        most_bars=_MOST_BARS,
        version=__version__,
        made_at=now(),
        note_counts=[
            Counter(note for _, note in analysis.notes).most_common(_MOST_LISTED) for analysis in analyses
        ],
        svg=Markup,  # charts escape what they show
        histogram_rows=_histogram_rows,
    )


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if not math.isfinite(value):  # sums of absurd prices
        return "too large"
    if abs(value) >= 1e15:
        return f"{value:.4g}"
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 100 else f"{value:.4g}"


def _percent(share: float) -> str:
    return f"{share:.2%}"


def _histogram_rows(prices: Prices) -> list[tuple[str, str, str]]:
    bins = zip(prices.edges, prices.edges[1:], prices.counts, strict=False)
    ten_to = charts.power_of_ten
    return [(_number(ten_to(low)), _number(ten_to(high)), _number(count)) for low, high, count in bins]


def _stats_row(row: PriceStats) -> tuple[str, ...]:
    return (row.label, _number(row.count), _number(row.mean), _number(row.median), _number(row.deviation))


def _count_row(row: Sequence[Any], total: int) -> tuple[str, ...]:
    return (str(row[0]), _number(row[1]), _percent(row[1] / total))


def _type_row(row: TypeCount) -> tuple[str, ...]:
    return (row.type, _number(row.values), _number(row.items), _percent(row.share))


def _value_row(row: ValueCount) -> tuple[str, ...]:
    return (row.type, row.value, _number(row.count), _percent(row.share))


def _number_row(row: NumberTrait) -> tuple[str, ...]:
    return (row.type, _number(row.items), _number(row.least), _number(row.median), _number(row.most))


def _never_row(row: NeverMet) -> tuple[str, ...]:
    first, second = row.first, row.second
    counts = f"{first.count:,} and {second.count:,}"
    return (f"{first.type}: {first.value}", f"{second.type}: {second.value}", counts, f"{row.expected:.1f}")


def _told_row(row: TraitAccuracy) -> tuple[str, ...]:
    kept = "told" if row.kept else f"left out: {row.why}"
    return (row.type, _number(row.values), _percent(row.accuracy), _percent(row.majority), kept)


def _ranked_row(row: RankedItem) -> tuple[str, ...]:
    scores = (
        _number(row.rarity_rank),
        _number(row.rarity),
        _number(row.information_rank),
        _number(row.information),
    )
    return (row.id, row.name, *scores, _number(row.unique_traits), _number(row.openrarity_rank))


# The template's filters that turn records into the cells of a table's row.
_ROWS: Final = {
    "count_row": _count_row,
    "stats_row": _stats_row,
    "type_row": _type_row,
    "value_row": _value_row,
    "number_row": _number_row,
    "never_row": _never_row,
    "ranked_row": _ranked_row,
    "told_row": _told_row,
}
