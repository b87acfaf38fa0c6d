"""Turns a subject's collection into what the templates of its page and of pictures' pages show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from metagan.collection import charts
from metagan.site.pages.content import CollectionContent, PictureTraits, RankedItem, TraitTable
from metagan.site.pages.views import PictureIndex, PictureView
from metagan.values import counted

RAREST_PICTURES: Final = 6
_FREQUENT: Final = 0.5  # from this share on, "1 in N" would say less than the percentage


@dataclass(frozen=True)
class ChartView:
    """A chart and its numbers.

    Args:
        svg: The drawing, with a sentence for screen readers.
        header: The table's header.
        rows: The same numbers as rows of a table.
    """

    svg: Markup
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class RarePicture:
    """One of the rarest generated pictures, and how rare it is in words."""

    picture: PictureView
    score: str
    words: str


@dataclass(frozen=True)
class CollectionView:
    """A collection as its page shows it.

    Args:
        name: Its title, or its name.
        says: One sentence about it.
        totals: Numbers with their labels.
        licence: Its licence, or None.
        pictures_shown: Whether the licence lets its pictures be shown.
        trait_types: Number of its trait types.
        traits: The most frequent ones.
        scores: Chart of the rarity scores, or None.
        rarest: Its rarest items.
        sales_what: "sales" or "prices".
        sales: Chart of them, or None.
        accuracies: A row per trait type: name, accuracy, the majority's share, whether it is predicted.
        rare_pictures: The rarest generated pictures.
        predicted_types: Number of trait types that are predicted.
    """

    name: str
    says: str
    totals: tuple[tuple[str, str], ...]
    licence: str | None
    attribution: str | None
    page: str | None
    pictures_shown: bool
    trait_types: int
    traits: tuple[TraitTable, ...]
    scores: ChartView | None
    rarest: tuple[RankedItem, ...]
    sales_what: str
    sales: ChartView | None
    accuracies: tuple[tuple[str, str, str, str], ...]
    rare_pictures: tuple[RarePicture, ...]
    predicted_types: int


@dataclass(frozen=True)
class TraitsView:
    """A generated picture's predicted traits as its page shows them.

    Args:
        found: The traits and relatives.
        present: Number of trait types that it has a value of.
        score: The rarity score, formatted.
        words: How rare that is: "1 in 4,200 apes is as rare".
        accuracy: The mean accuracy of the predicted types, such as "93.1%"; empty if it is unknown.
    """

    found: PictureTraits
    present: int
    score: str
    words: str
    accuracy: str


def view_collection(content: CollectionContent, album: PictureIndex) -> CollectionView:
    """Return a collection as its page shows it."""
    sales = content.sales
    unit = f" {sales.currency}" if sales and sales.currency else ""
    totals = [
        ("Items", f"{content.items:,}"),
        ("Pictures", f"{content.pictures:,}"),
    ]
    if content.trait_types:
        totals += [
            ("Trait types", f"{content.trait_types:,}"),
            ("Trait values", f"{content.trait_values:,}"),
        ]
    if sales:
        totals += [
            (sales.what.capitalize(), f"{sales.count:,}"),
            ("Highest", f"{number(sales.most)}{unit}"),
            ("Mean", f"{number(sales.mean)}{unit}"),
            ("Median", f"{number(sales.median)}{unit}"),
        ]
    return CollectionView(
        name=content.name,
        says=_says(content),
        totals=tuple(totals),
        licence=content.licence,
        attribution=content.attribution,
        page=content.page,
        pictures_shown=content.pictures_shown,
        trait_types=content.trait_types,
        traits=content.traits,
        scores=_histogram(*content.scores, "Items by rarity score", "rarity score (logarithmic)"),
        rarest=content.rarest,
        sales_what=sales.what if sales else "",
        sales=_histogram(
            sales.edges,
            sales.counts,
            f"{'Sales' if sales.what == 'sales' else 'Items'} by price{' in' if unit else ''}{unit}",
            f"price{' in' if unit else ''}{unit} (logarithmic)",
        )
        if sales
        else None,
        accuracies=tuple(
            (
                one.type,
                f"{one.accuracy:.1%}" if one.kept or one.accuracy else "–",
                f"{one.majority:.1%}",
                "yes" if one.kept else f"no: {one.why}",
            )
            for one in sorted(content.accuracies, key=lambda one: (not one.kept, one.type))
        ),
        rare_pictures=tuple(_rarest_pictures(content, album)),
        predicted_types=sum(one.kept for one in content.accuracies),
    )


def view_traits(content: CollectionContent | None, seed: int) -> TraitsView | None:
    """Return a picture's predicted traits; None without a classifier."""
    found = content.predicted.get(seed) if content else None
    if content is None or found is None:
        return None
    kept = [one.accuracy for one in content.accuracies if one.kept]
    accuracy = f"{sum(kept) / len(kept):.1%}" if kept else ""
    present = sum(trait.value is not None for trait in found.traits)
    return TraitsView(found, present, number(found.score), rarity_words(content, found.as_rare), accuracy)


def rarity_words(content: CollectionContent, as_rare: int) -> str:
    """Say how many items are as rare as a picture: "1 in 4,200 apes is as rare".

    Args:
        content: The collection.
        as_rare: Number of items with its rarity score or a higher one.
    """
    name = content.name
    items = name if name.lower().endswith("s") else f"items of {name}"
    if as_rare == 0:
        return f"none of the {content.items:,} {items} is as rare"
    if as_rare >= content.items * _FREQUENT:
        return f"{as_rare / content.items:.0%} of the {items} are as rare"
    return f"1 in {round(content.items / as_rare):,} {items} is as rare"


def number(value: float) -> str:
    """Format a number with as many digits as it needs."""
    if not math.isfinite(value):  # sums of absurd prices
        return "too large"
    if value == int(value) and abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _says(content: CollectionContent) -> str:
    items, kinds = (
        counted(content.items, "item"),
        counted(content.trait_types, "type of traits", "types of traits"),
    )
    return f"The generator learnt from {items}{f' with {kinds}' if content.trait_types else ''}."


def _rarest_pictures(content: CollectionContent, album: PictureIndex) -> list[RarePicture]:
    places = {picture.seed: place for place, picture in enumerate(album.pictures)}
    order = sorted(content.predicted.items(), key=lambda pair: (-pair[1].score, pair[0]))
    return [
        RarePicture(album.file(places[seed]), number(found.score), rarity_words(content, found.as_rare))
        for seed, found in order[:RAREST_PICTURES]
    ]


def _histogram(edges: Sequence[float], counts: Sequence[int], title: str, x_title: str) -> ChartView | None:
    """Return a histogram over logarithms to base 10; None without values."""
    if not counts:
        return None
    svg = charts.histogram(edges, counts, title, x_title, logs=True)
    rows = tuple(
        (number(10.0**low), number(10.0**high), f"{count:,}")
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
        if count
    )
    return ChartView(Markup(svg), ("From", "To", "Number"), rows)  # noqa: S704 (charts escape what they show)
