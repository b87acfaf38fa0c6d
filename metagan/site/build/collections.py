"""The collections of a site's subjects: opened, and turned into what their pages show.

Kept in the work folder:

    collections/KEY/ROW.webp   small pictures of items, by a hash of the collection
    collections/KEY/0.jsonl    the items of a bundled collection, which take seconds to draw lots for
    traits/KEY.json            predicted traits, by a hash of the classifier and of what the pictures depend on
"""

from __future__ import annotations

import dataclasses
import functools
import lzma
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metagan import drawings, weights
from metagan.collection.model import Sale
from metagan.collection.prices import USD, currencies, log_histogram, priced_items
from metagan.collection.rarity import TraitRanking, key_of, score_items
from metagan.collection.sources.dicebear import DicebearSource
from metagan.collection.sources.drawn import DrawnSource
from metagan.collection.store import FACTS_NAME, ITEMS_NAME, SALES_NAME, is_inside, read_lines
from metagan.collection.table import Table, item_lines, open_table, table_of
from metagan.collection.traits import TraitAccuracy, TypeCount, read_accuracies, type_counts, value_counts
from metagan.datasets.decode import decode_picture, to_rgb
from metagan.datasets.store import UnreadableError
from metagan.drawings.render import COLLECTIONS
from metagan.errors import CollectionError
from metagan.fetch.locate import locate_weights
from metagan.files import write_bytes
from metagan.images.encode import encode
from metagan.registry.fields import CollectionRef
from metagan.registry.models import Subject
from metagan.site.build.build_dir import BuildDir, digest_of, digest_of_folder, read_json, write_json
from metagan.site.build.picture_cache import PictureCache
from metagan.site.pages.content import (
    CollectionContent,
    PictureTraits,
    PredictedTrait,
    RankedItem,
    Relative,
    SalesContent,
    ShownItem,
    TraitTable,
)
from metagan.site.pages.views import web_address, without_controls

THUMB_PX: Final = 96
THUMB_VERSION: Final = 1  # increase it when the same picture would give another small one
BUNDLED_COUNT: Final = 10_000  # how many pictures metagan's bundled generators learnt from
ENOUGH_TO_CHECK: Final = 500  # items that have every trait type of a bundled collection
RAREST: Final = 12
RELATIVES: Final = 3
MOST_TYPES: Final = 60
MOST_VALUES: Final = 40
_PIXELS_AT_ONCE: Final = 1 << 20  # of pictures whose traits are predicted together


@dataclass(frozen=True)
class SubjectCollection:
    """A subject's collection, opened.

    Args:
        table: Its items.
        sales: Its known sales.
        picture: Returns an item's picture file by row, or None.
        classifier: The file of its trait classifier, or None.
    """

    table: Table
    sales: tuple[Sale, ...]
    picture: Callable[[int], bytes | None]
    classifier: Path | None


def open_collection_of(subject: Subject, build_dir: BuildDir | None = None) -> SubjectCollection | None:
    """Open a subject's collection; None if it has none.

    Args:
        subject: The subject.
        build_dir: Where the items of a bundled collection are remembered. Without it, only the first are opened: enough
            to check a classifier against them.

    Raises:
        CollectionError: If it is incomplete or damaged, or a package is not installed that it needs.
    """
    ref = subject.collection
    if ref is None:
        return None
    classifier = locate_weights(subject.traits) if subject.traits else None
    if ref.kind == "bundled":
        return _open_bundled(ref, classifier, build_dir)
    folder = Path(ref.location)
    table, sales = open_table(folder), folder / SALES_NAME
    known = tuple(read_lines(sales, Sale)) if sales.is_file() else ()
    return SubjectCollection(table, known, partial(picture_file, table), classifier)


def _open_bundled(
    ref: CollectionRef, classifier: Path | None, build_dir: BuildDir | None
) -> SubjectCollection:
    """Open what a bundled generator learnt from: drawn by metagan, or by DiceBear in the style of that name."""
    name = ref.location
    source = bundled_source(name, THUMB_PX)
    count = BUNDLED_COUNT if build_dir else ENOUGH_TO_CHECK
    remembered = _thumbs_folder(ref, build_dir) / "0.jsonl" if build_dir else None
    if shipped := _shipped_items(name):
        lines = b"".join(lzma.decompress(shipped.read_bytes()).splitlines(keepends=True)[:count])
    elif remembered and remembered.is_file():
        lines = remembered.read_bytes()
    else:
        lines = item_lines(source.make(entry).item for entry in source.entries()[:count])
        if remembered:
            write_bytes(remembered, lines)

    def picture(row: int) -> bytes | None:
        made = source.make(row).picture
        return made().data if made else None

    return SubjectCollection(table_of(Path(name), source.facts(), lines), (), picture, classifier)


def _shipped_items(name: str) -> Path | None:
    """Return the file of a bundled collection's items, or None. Drawing lots for planets takes 30 s."""
    file = Path(weights.__path__[0]) / f"{name}-items.jsonl.xz"
    return file if file.is_file() else None


def bundled_source(name: str, size_px: int) -> DrawnSource | DicebearSource:
    """Return what draws a bundled generator's collection: metagan, or DiceBear in the style of that name."""
    kind = DrawnSource if name in COLLECTIONS else DicebearSource
    return kind(name, name, BUNDLED_COUNT, size_px)


def check_classifier(opened: SubjectCollection) -> None:
    """Check that the classifier of a collection, if there is one, can be read and predicts some of its traits.

    Raises:
        CheckpointError: If it can't be read, or is no classifier.
        CollectionError: If it predicts none of the collection's trait types.
    """
    if opened.classifier is None:
        return
    from metagan.networks.trait_classifier import load_classifier

    network, facts = load_classifier(opened.classifier)
    read_accuracies(facts, opened.classifier)
    told = [head.type for head in network.config.heads]
    known = [kind.type for kind in type_counts(opened.table)]
    if not set(map(key_of, told)) & set(map(key_of, known)):
        raise CollectionError(
            f"predicts {', '.join(told)[:200]}; the collection has {', '.join(known)[:200] or 'no traits'}",
            where=opened.classifier,
            fix="train one on this collection with `metagan collection traits`",
        )


def digest_of_collection(subject: Subject, build_dir: BuildDir) -> str | None:
    """Hash what the pages about a subject's collection are made from; None if it has none."""
    if subject.collection is None:
        return None
    classifier = build_dir.sha256(locate_weights(subject.traits)) if subject.traits else None
    return digest_of(_key(subject.collection, build_dir), classifier)


def work_files(subject: Subject, cache: PictureCache, build_dir: BuildDir) -> set[Path]:
    """Return what the work folder keeps for a subject's collection."""
    found = set()
    if subject.collection:
        found.add(_thumbs_folder(subject.collection, build_dir))
    if subject.traits:
        found.add(_predictions_file(locate_weights(subject.traits), cache, build_dir))
    return found


def describe_collection(
    opened: SubjectCollection, cache: PictureCache, build_dir: BuildDir, *, pages: bool
) -> tuple[CollectionContent, dict[str, Path]]:
    """Return what the site shows of a subject's collection, and its small pictures' files by their path on the site.

    Args:
        opened: The collection.
        cache: The subject's finished pictures, of which traits are predicted.
        build_dir: The work folder.
        pages: Whether pictures have pages of their own, which show their relatives.

    Raises:
        CheckpointError: If the classifier can't be read.
    """
    table, facts = opened.table, opened.table.facts
    ref = cache.subject.collection
    if ref is None:
        raise AssertionError("only subjects with a collection have one opened")
    shelf = _Shelf(opened, cache.subject.slug, _thumbs_folder(ref, build_dir))
    accuracies: tuple[TraitAccuracy, ...] = ()
    predicted: dict[int, PictureTraits] = {}
    if opened.classifier:
        accuracies, types, values = _predict(opened.classifier, cache, build_dir)
        ranking = TraitRanking(table, types)
        predicted = {seed: _placed(ranking, types, has, shelf, pages=pages) for seed, has in values.items()}
    kinds = type_counts(table)
    content = CollectionContent(
        name=without_controls(table.title),
        items=table.items.height,
        pictures=table.items["file"].count() if ref.kind == "path" else table.items.height,
        licence=_text(facts.licence),
        attribution=_text(facts.attribution),
        page=web_address(facts.page) if facts.page else None,
        pictures_shown=shelf.shows,
        trait_types=len(kinds),
        trait_values=sum(kind.values for kind in kinds),
        traits=_tables(table, kinds),
        scores=_score_histogram(table),
        rarest=_rarest(table, shelf),
        sales=_sales(opened),
        accuracies=accuracies,
        predicted=predicted,
    )
    return content, shelf.files


# --------------------------------------------------------------------------------------------
# Small pictures of items


class _Shelf:
    """Makes small pictures of items where they may be shown, and remembers which ones the site needs."""

    def __init__(self, opened: SubjectCollection, slug: str, folder: Path) -> None:
        self.shows = lets_show(opened.table.facts.licence)
        self.files: dict[str, Path] = {}
        self._opened, self._slug, self._folder = opened, slug, folder
        self._names: list[str] = opened.table.items["name"].fill_null("").to_list()
        self._ids: list[str] = opened.table.items["id"].to_list()
        self._pages: list[str | None] = opened.table.items["page"].to_list()

    def item(self, row: int) -> ShownItem:
        """Return an item as pages show it."""
        name = without_controls(self._names[row].strip() or self._ids[row])
        page = self._pages[row]
        picture = self._picture(row)
        size_px = (0, 0)
        if picture:
            with Image.open(self.files[picture]) as image:
                size_px = image.size
        return ShownItem(name, picture, size_px, web_address(page) if page else None)

    def _picture(self, row: int) -> str | None:
        if not self.shows:
            return None
        file = self._folder / f"{row}.webp"
        if not (file.is_file() and file.stat().st_size):
            data = self._opened.picture(row)
            small = _small(data) if data else None
            if small is None:
                return None
            write_bytes(file, encode(small, "webp"))
        path = f"pictures/{self._slug}/collection/{row}.webp"
        self.files[path] = file
        return path


def _small(data: bytes) -> NDArray[np.uint8] | None:
    try:
        image = to_rgb(decode_picture(data), (255, 255, 255))
    except UnreadableError:
        return None
    image.thumbnail((THUMB_PX, THUMB_PX), Image.Resampling.LANCZOS)
    return np.asarray(image)


def picture_file(table: Table, row: int) -> bytes | None:
    """Read the picture of an item of a collection's folder; None if it has none that can be read."""
    file: str | None = table.items["file"][row]
    # The table comes from a file that anybody may have written.
    if not file or not is_inside(file):
        return None
    try:
        return (table.path / file).read_bytes()
    except OSError:
        return None


def _thumbs_folder(ref: CollectionRef, build_dir: BuildDir) -> Path:
    return build_dir.folder / "collections" / digest_of(_key(ref, build_dir), THUMB_PX, THUMB_VERSION)


def _key(ref: CollectionRef, build_dir: BuildDir) -> str:
    """Hash a collection's facts, items and sales; of a bundled one, its name, shipped items and drawing code."""
    if ref.kind == "bundled":
        items = _shipped_items(ref.location)
        shipped = build_dir.sha256(items) if items else None
        return digest_of(ref.text, BUNDLED_COUNT, shipped, drawing_code(ref.location))
    files = [Path(ref.location) / name for name in (FACTS_NAME, ITEMS_NAME, SALES_NAME)]
    return digest_of(ref.location, *(build_dir.sha256(file) for file in files if file.is_file()))


@functools.cache
def drawing_code(name: str) -> str:
    """Hash the code that draws a bundled collection."""
    if name in COLLECTIONS:
        return digest_of_folder(Path(drawings.__path__[0]), "**/*.py")
    try:
        return digest_of(version("dicebear-core"), version("dicebear-styles"))
    except PackageNotFoundError:
        return ""  # opening it says which package is missing


# --------------------------------------------------------------------------------------------
# Predicted traits


def _predict(
    classifier: Path, cache: PictureCache, build_dir: BuildDir
) -> tuple[tuple[TraitAccuracy, ...], list[str], dict[int, dict[str, str]]]:
    """Return the classifier's accuracies and types, and each picture's traits by type, in part remembered."""
    remembered = _predictions_file(classifier, cache, build_dir)
    known = read_json(remembered)
    pictures: dict[str, dict[str, str]] = known.get("pictures", {})
    missing = [seed for seed in cache.subject.seeds if str(seed) not in pictures]
    if missing or not known:
        from metagan.networks.trait_classifier import load_classifier

        network, facts = load_classifier(classifier)
        for some in _batches(missing, cache):
            found = network.tell_values(_batch([cache.picture(seed) for seed in some]))
            pictures |= {str(seed): values for seed, values in zip(some, found, strict=True)}
        told = [dataclasses.asdict(one) for one in read_accuracies(facts, classifier)]
        known = {"told": told, "types": [head.type for head in network.config.heads], "pictures": pictures}
        write_json(remembered, known)
    values = {seed: pictures[str(seed)] for seed in cache.subject.seeds}
    return tuple(TraitAccuracy(**one) for one in known["told"]), known["types"], values


def _batches(seeds: list[int], cache: PictureCache) -> Iterator[list[int]]:
    """Cut seeds into batches whose pictures are predicted together without much memory."""
    if seeds:
        with Image.open(cache.picture(seeds[0])) as image:
            size = max(1, min(64, _PIXELS_AT_ONCE // (image.width * image.height)))
        yield from (seeds[at : at + size] for at in range(0, len(seeds), size))


def _batch(files: Sequence[Path]) -> Any:
    import torch

    pictures = []
    for file in files:
        with Image.open(file) as image:
            pictures.append(np.asarray(to_rgb(image, (255, 255, 255))))
    return torch.from_numpy(np.stack(pictures))


def _predictions_file(classifier: Path, cache: PictureCache, build_dir: BuildDir) -> Path:
    return build_dir.folder / "traits" / f"{digest_of(build_dir.sha256(classifier), cache.folder.name)}.json"


def _placed(
    ranking: TraitRanking, types: Sequence[str], has: Mapping[str, str], shelf: _Shelf, *, pages: bool
) -> PictureTraits:
    """Place a picture with these traits among the collection's items."""
    score = ranking.score(has)
    traits = (PredictedTrait(kind, has.get(kind), ranking.share(kind, has.get(kind))) for kind in types)
    relatives = ranking.nearest(has, RELATIVES) if shelf.shows and pages else []
    return PictureTraits(
        tuple(
            dataclasses.replace(one, type=without_controls(one.type), value=_text(one.value))
            for one in traits
        ),
        score,
        ranking.as_rare(score),
        tuple(Relative(shelf.item(row), common) for row, common in relatives),
    )


# --------------------------------------------------------------------------------------------
# What there is in the collection


def _tables(table: Table, kinds: Sequence[TypeCount]) -> tuple[TraitTable, ...]:
    by_type: dict[str, list[Any]] = {}
    for value in value_counts(table):
        shown = dataclasses.replace(
            value, type=without_controls(value.type), value=without_controls(value.value)
        )
        by_type.setdefault(key_of(value.type), []).append(shown)
    shown_kinds = sorted(kinds, key=lambda kind: (-kind.items, kind.type))[:MOST_TYPES]
    return tuple(
        TraitTable(
            dataclasses.replace(kind, type=without_controls(kind.type)),
            tuple(by_type[key_of(kind.type)][:MOST_VALUES]),
        )
        for kind in shown_kinds
    )


def _score_histogram(table: Table) -> tuple[tuple[float, ...], tuple[int, ...]]:
    scores = score_items(table)["rarity"].to_numpy()
    scores = scores[scores > 0]
    if not len(scores):
        return (), ()
    decades = float(np.log10(scores.max() / scores.min()))
    edges, counts = log_histogram(scores, bins_per_decade=max(4, min(100, round(20 / max(decades, 0.1)))))
    return tuple(edges.tolist()), tuple(counts.tolist())


def _rarest(table: Table, shelf: _Shelf) -> tuple[RankedItem, ...]:
    if not table.text_traits.height:
        return ()
    first = score_items(table).sort("rarity_rank", "row").head(RAREST)
    rows = first.select("row", "rarity", "rarity_rank").iter_rows()
    return tuple(RankedItem(shelf.item(row), score, rank) for row, score, rank in rows)


def _sales(opened: SubjectCollection) -> SalesContent | None:
    """Describe the sales in their most frequent currency, or the items' prices if no sales are known."""
    sales = [sale for sale in opened.sales if sale.price > 0]
    if sales:
        in_usd = [sale.price_usd for sale in sales if sale.price_usd]
        if len(in_usd) == len(sales):
            return _prices_content("sales", USD, np.array(in_usd))
        symbols = Counter(sale.symbol for sale in sales)
        currency = min(symbols, key=lambda symbol: (-symbols[symbol], symbol))
        paid = np.array([sale.price for sale in sales if sale.symbol == currency])
        return _prices_content("sales", currency, paid)
    for currency in currencies(opened.table)[:1]:
        return _prices_content("prices", currency, priced_items(opened.table, currency)["paid"].to_numpy())
    return None


def _prices_content(what: str, currency: str, paid: NDArray[np.float64]) -> SalesContent:
    edges, counts = log_histogram(paid)
    with np.errstate(over="ignore"):  # prices near the largest number have an infinite mean
        return SalesContent(
            what,
            without_controls(currency),
            len(paid),
            float(paid.mean()),
            float(np.median(paid)),
            float(paid.max()),
            tuple(edges.tolist()),
            tuple(counts.tolist()),
        )


def _text(value: str | None) -> str | None:
    return without_controls(value) if value else None


# Licences that let anybody publish the pictures, also smaller ones and for money. Creative Commons' NC and ND are not
# among them: whether a site is commercial, and whether a thumbnail is an adaptation, can't be seen from here.
_OPEN: Final = re.compile(
    r"cc0([ -]1\.0)?|cc[ -]by([ -]sa)?([ -][1-4]\.[0-9])?([ -][a-z]{2,3})?|pddl([ -]1\.0)?|public domain"
    r"|(mit|isc|0bsd|unlicense|wtfpl|zlib)|apache[ -]2\.0|bsd[ -][123][ -]clause|ofl[ -]1\.1",
    re.IGNORECASE,
)


def lets_show(licence: str | None) -> bool:
    """Return whether a licence, as SPDX or its authors write it, lets anybody show the pictures."""
    return licence is not None and _OPEN.fullmatch(licence.strip()) is not None
