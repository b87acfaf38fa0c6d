"""The data that pages show, independent of HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

from metagan.collection.traits import TraitAccuracy, TypeCount, ValueCount
from metagan.registry.models import Headline, Site, Subject
from metagan.seeds import SeedRanges

SHARD_ROW_BYTES = (
    44  # of an index of shards for browsers: offset, uint64; length, uint32; SHA-256; little-endian
)


@dataclass(frozen=True)
class GeneratorFacts:
    """Facts about a subject's generator, for its about page.

    Args:
        architecture: Its title, such as "StyleGAN2".
        width_px: Width of a picture in pixels.
        height_px: Height of a picture in pixels.
        parameters: Number of the generator's parameters.
        sha256: SHA-256 of the weights file.
        size_bytes: Size of the weights file.
        training: Facts about its training from the weights file; JSON-like values.
        classes: Number of classes; 0 if unconditional, or if its labels are numbers of their own.
        label_names: Names of the classes, or of the label's numbers; empty if they have no names.
        label_ranges: Least and greatest value of each of the label's numbers in the training data; empty for classes.
    """

    architecture: str
    width_px: int
    height_px: int
    parameters: int
    sha256: str
    size_bytes: int
    training: Mapping[str, Any] = field(default_factory=dict)
    classes: int = 0
    label_names: Sequence[str] = ()
    label_ranges: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class UpscalerFacts:
    """Facts about a subject's upscaler, for its about page.

    Args:
        factor: Enlargement factor of width and height.
        parameters: Number of its parameters.
        sha256: SHA-256 of its file.
        size_bytes: Size of its file.
        licence: Licence stated in its file.
        source: Source stated in its file.
    """

    factor: int
    parameters: int
    sha256: str
    size_bytes: int
    licence: str
    source: str


def ai_system(architecture: str, sha256: str, upscaler: UpscalerFacts | None = None) -> str:
    """Return the name of the generating system for the pictures' metadata."""
    enlarged = f", enlarged by an upscaler, sha256 {upscaler.sha256[:16]}" if upscaler else ""
    return f"{architecture}, weights sha256 {sha256[:16]}{enlarged}, by metagan"


@dataclass(frozen=True)
class ShownItem:
    """An item of a collection on the site.

    Args:
        name: Its name.
        picture: A small picture of it, relative to the site's root; None if it has none, or its licence doesn't let it
            be shown.
        size_px: That picture's width and height.
        page: Address of a page about it, or None.
    """

    name: str
    picture: str | None = None
    size_px: tuple[int, int] = (0, 0)
    page: str | None = None


@dataclass(frozen=True)
class RankedItem:
    """One of a collection's rarest items, with its rarity score and rank; equal scores share a rank."""

    item: ShownItem
    score: float
    rank: int


@dataclass(frozen=True)
class Relative:
    """An item that has `common` of a generated picture's traits."""

    item: ShownItem
    common: int


@dataclass(frozen=True)
class PredictedTrait:
    """What a classifier predicts of a picture.

    Args:
        type: The trait type, such as "Hat".
        value: Its value; None if the picture has none of the type.
        share: Share of the collection's items that have the same, 0 to 1.
    """

    type: str
    value: str | None
    share: float


@dataclass(frozen=True)
class PictureTraits:
    """A generated picture's predicted traits among those of the collection.

    Args:
        traits: The traits, by type.
        score: Its rarity score over the predicted types.
        as_rare: How many items have this score or a higher one.
        relatives: The items that have most in common with it.
    """

    traits: tuple[PredictedTrait, ...]
    score: float
    as_rare: int
    relatives: tuple[Relative, ...] = ()


@dataclass(frozen=True)
class TraitTable:
    """A trait type with its most common values.

    Args:
        counts: Its number of values, and of the items that have it.
        values: The most common values.
    """

    counts: TypeCount
    values: tuple[ValueCount, ...]


@dataclass(frozen=True)
class SalesContent:
    """A collection's sales in one currency, or its items' prices if no sales are known.

    Args:
        what: "sales" or "prices".
        currency: Such as "ETH"; empty if it is unknown.
        count: How many there are above 0.
        edges: Edges of a histogram of log10 prices, [bins + 1].
        counts: Its counts, [bins].
    """

    what: str
    currency: str
    count: int
    mean: float
    median: float
    most: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class CollectionContent:
    """What the site shows of the collection that a generator was trained on.

    Args:
        name: Its title, or its name.
        items: Number of items.
        pictures: Number of items with a picture.
        licence: Its licence, or None.
        attribution: The attribution that the licence requires, or None.
        page: Address of a page about it, or None.
        pictures_shown: Whether the licence lets its pictures be shown.
        trait_types: Number of its trait types.
        trait_values: Number of their values.
        traits: Its trait types, the most frequent ones.
        scores: Histogram of the items' rarity scores: edges of their log10, and counts.
        rarest: The rarest items.
        sales: Its sales, or None.
        accuracies: How well each trait type is predicted; empty without a classifier.
        predicted: The generated pictures' traits by seed; empty without a classifier.
    """

    name: str
    items: int
    pictures: int
    licence: str | None
    attribution: str | None
    page: str | None
    pictures_shown: bool
    trait_types: int
    trait_values: int
    traits: tuple[TraitTable, ...]
    scores: tuple[tuple[float, ...], tuple[int, ...]]
    rarest: tuple[RankedItem, ...]
    sales: SalesContent | None = None
    accuracies: tuple[TraitAccuracy, ...] = ()
    predicted: Mapping[int, PictureTraits] = field(default_factory=dict)


@dataclass(frozen=True)
class RealPicture:
    """A picture that a generator was trained on, as the site shows it.

    Args:
        number: Its place in the training data, and its file's name on the site.
        name: Its name.
        page: Address of a page about it, or None.
    """

    number: int
    name: str
    page: str | None = None


@dataclass(frozen=True)
class RealsContent:
    """Pictures that a generator was trained on and that anybody may show: originals for the game "which one exists?".

    Args:
        origin: What they are, for readers: the collection's title, or the zip's name.
        licence: Their licence.
        attribution: The attribution that the licence requires, or None.
        total: How many there are in the training data.
        folder: Their folder on the site; each file is NUMBER.EXT, with the subject's extension.
        pictures: Those on the site, of the published pictures' size.
    """

    origin: str
    licence: str
    attribution: str | None
    total: int
    folder: str
    pictures: tuple[RealPicture, ...]


@dataclass(frozen=True)
class Picture:
    """One published picture.

    Args:
        seed: The seed it was drawn from.
        path: The file, relative to the site's root: "pictures/bagel/42.webp".
        card: Its card for link previews, also relative; None if it has no page of its own.
        text: A generated line of text, or None.
    """

    seed: int
    path: str
    card: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class ShardsContent:
    """All pictures of a subject that come out of shards; its `pictures` are those that any page can show as files.

    Args:
        seeds: Of all pictures.
        manifest: What browsers find the shards by, relative to the site's root: "pictures/ape/shards/manifest.json";
            None if every picture is a file: "pictures/ape/123/123456.webp".
        origin: Of the shards' host if it isn't the site's own: "https://pictures.example.org"; else empty.
    """

    seeds: SeedRanges
    manifest: str | None = None
    origin: str = ""


UNASKED_BYTES = 12_000_000  # gzipped: a visitor's browser fetches larger generators only after a click


@dataclass(frozen=True)
class LiveModel:
    """A generator's weights file for visitors' browsers.

    Args:
        path: The file, relative to the site's root: "models/SHA256.bin.gz".
        sha256: SHA-256 of its content before gzip, because some hosts decompress it in transit.
        content_bytes: Size of its content before gzip.
        file_sha256: SHA-256 of the file.
        size_bytes: Size of the file, which a visitor downloads.
        precision: Number format of the matrices, such as "fp16" or "fp32".
        off_by_one: Fraction of the pictures' values that differ by one level from the original generator's, 0 to 1.
        psnr_db: PSNR of its pictures against the original's before rounding, in dB; None if they are equal.
        mark: The digits by which a lineage knows the original generator.
    """

    path: str
    sha256: str
    content_bytes: int
    file_sha256: str
    size_bytes: int
    precision: str
    off_by_one: float
    psnr_db: float | None
    mark: str

    @property
    def is_large(self) -> bool:
        """Whether the visitor is asked before it is downloaded."""
        return self.size_bytes > UNASKED_BYTES


@dataclass(frozen=True)
class LiveDials:
    """Dials of a generator in visitors' browsers.

    Args:
        path: The file, relative to the site's root: "models/SHA256.dials.bin": a direction of styles for each dial,
            [dials, w_dim], little-endian float32.
        sha256: SHA-256 of the file.
        size_bytes: Size of the file.
        names: The dials' names, in order.
        layers: The first and the last layer that each one moves.
    """

    path: str
    sha256: str
    size_bytes: int
    names: tuple[str, ...]
    layers: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class LiveEncoder:
    """An encoder of a generator in visitors' browsers.

    Args:
        path: The file, relative to the site's root: "models/SHA256.encoder.bin": the numbers of its layers, weights and
            biases in turn, little-endian float16.
        sha256: SHA-256 of the file.
        size_bytes: Size of the file.
        width: Width of the pictures that it takes, in pixels.
        height: Their height.
        channels: Their channels.
        widths: Channels of its layers.
        axes: Number of axes of styles, its outputs.
        ranges: Number of ranges of layers that the search gives a style each.
        label: What the generator is asked for, if it is conditional.
        distances: Of the generator's own pictures after the search, in ascending order.
    """

    path: str
    sha256: str
    size_bytes: int
    width: int
    height: int
    channels: int
    widths: tuple[int, ...]
    axes: int
    ranges: int
    label: int | tuple[float, ...] | None
    distances: tuple[float, ...]


@dataclass(frozen=True)
class SubjectContent:
    """One subject with its pictures in display order; at least one.

    Args:
        subject: Its entry in the registry.
        facts: Facts about its weights file.
        pictures: The finished pictures.
        live: The generator for visitors' browsers, or None.
        why_not_live: The reason if the page has no live generator; empty if the registry wants none.
        upscaler: Facts about its upscaler's file; None if pictures are not upscaled.
        collection: The collection that it was trained on; None if the registry names none.
        reals: Pictures that it was trained on, for the game; None if the registry names none.
        dials: Dials of the generator in browsers; None if the subject has no dials.
        shards: All its pictures, if they come out of shards; `pictures` then are some of them.
        encoder: The encoder of the generator in browsers; None if the subject has none.
    """

    subject: Subject
    facts: GeneratorFacts
    pictures: tuple[Picture, ...]
    live: LiveModel | None = None
    why_not_live: str = ""
    upscaler: UpscalerFacts | None = None
    collection: CollectionContent | None = None
    reals: RealsContent | None = None
    dials: LiveDials | None = None
    shards: ShardsContent | None = None
    encoder: LiveEncoder | None = None

    @property
    def width_px(self) -> int:
        """Width of a published picture in pixels."""
        return self.facts.width_px * (self.upscaler.factor if self.upscaler else 1)

    @property
    def height_px(self) -> int:
        """Height of a published picture in pixels."""
        return self.facts.height_px * (self.upscaler.factor if self.upscaler else 1)


@dataclass(frozen=True)
class SiteContent:
    """A whole site.

    Args:
        site: Settings of the whole site.
        subjects: At least one.
        built: The day to print on pages and in feeds.
        version: The version of metagan that built the site.
        revision: A hash of everything that a cached page may depend on, for cache busting.
        icons: The site's icons, made from a picture: side in pixels and path of each; may be empty.
    """

    site: Site
    subjects: tuple[SubjectContent, ...]
    built: date
    version: str
    revision: str
    icons: tuple[tuple[int, str], ...] = ()

    @cached_property
    def headlines(self) -> Mapping[str, Headline]:
        """The subjects' headlines, by slug."""
        return {one.subject.slug: one.subject.heading for one in self.subjects}
