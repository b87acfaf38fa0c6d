"""`metagan collection`."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import click

from metagan.cli.options import (
    Number,
    Place,
    Whole,
    class_option,
    device_option,
    json_option,
    offline_option,
    out_file_option,
    out_option,
    psi_option,
    registry_option,
    weights_options,
    workers_option,
)
from metagan.files import require_outside
from metagan.registry.weights_ref import LOOPBACK
from metagan.values import counted, json_text, show

if TYPE_CHECKING:
    from metagan.collection.listing import Candidate
    from metagan.collection.model import Item
    from metagan.collection.review_page import ReviewServer
    from metagan.collection.sources.made import FetchReport, MadeSource
    from metagan.sampling.sampler import Sampler, Settings
    from metagan.values import Label

_SHOWN = 5
_LONG_S = 5
_SOURCES = "dicebear[:STYLE]|drawn:NAME|folder:PATH|csv:FILE|opensea[:SLUG]"


@click.group(
    "collection", short_help="Gather, analyse and filter collections of pictures with traits and prices."
)
def command() -> None:
    """Gather, analyse and filter collections: folders of pictures with their traits and prices."""


def _columns(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    wrong = [
        value for value, pair in zip(values, pairs, strict=True) if not (pair[0].strip() and pair[2].strip())
    ]
    if wrong:
        raise click.BadParameter(f"want COLUMN=NAME IN THE FILE, such as price=cost, got {show(wrong[0])}")
    names = [name.strip() for name, _, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise click.BadParameter(f"want each column once, got {show(twice)} twice")
    return {name.strip(): column.strip() for name, _, column in pairs}


def _gateway(_: click.Context, __: click.Parameter, value: str) -> str:
    with contextlib.suppress(ValueError):  # of a host such as [::1
        parts = urlsplit(value)
        if parts.hostname and (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        ):
            return value
    raise click.BadParameter(f"want an address such as https://ipfs.io/ipfs/, got {show(value)}")


@command.command("fetch", short_help="Download or draw a collection; resumes.")
@click.argument("name")
@click.option("--from", "origin", metavar=_SOURCES, required=True, help="Source of the collection.")
@out_option("Folder of the collection.  [default: collections/NAME]")
@click.option("--count", type=Whole(1, 10_000_000), default=10_000, help="dicebear, drawn: number of items.")
@click.option(
    "--size",
    type=Whole(8, 4096),
    help="Side in pixels of pictures drawn on this machine.  [default: 128, for SVG 512]",
)
@click.option(
    "--seed",
    type=Whole(0),
    default=0,
    help="dicebear, drawn: random seed; each seed gives another collection.",
)
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    help="csv: the folder that paths in its column path are relative to.",
)
@click.option(
    "--map",
    "columns",
    multiple=True,
    metavar="COLUMN=NAME",
    callback=_columns,
    help="csv: the file's name for a column (price=cost), or a column with a trait (trait:Hat=hat). Repeatable.",
)
@click.option("--encoding", help="csv: its encoding, if it is not UTF-8, UTF-16 or Windows-1252.")
@click.option(
    "--decimal",
    type=click.Choice(["auto", "point", "comma"]),
    default="auto",
    help="csv: the decimal separator of numbers.",
)
@click.option("--licence", help="folder, csv, opensea: the pictures' licence, such as CC0-1.0.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="opensea: a file that contains only the API key; by default OPENSEA_API_KEY is used.",
)
@click.option(
    "--api-url", default="https://api.opensea.io", help="opensea: another server with the same API."
)
@click.option(
    "--gateway",
    default="https://ipfs.io/ipfs/",
    callback=_gateway,
    help="opensea, csv: IPFS gateway for pictures with ipfs:// addresses or a cid.",
)
@click.option(
    "--at-once",
    type=Whole(1, 64),
    default=8,
    help="opensea, csv: number of pictures to download at once.",
)
@click.option(
    "--download/--no-download",
    default=True,
    help="csv: whether to download the pictures of lines that have a cid or url and no picture in --pictures.",
)
@click.option(
    "--usd",
    type=click.Path(path_type=Path, dir_okay=False),
    help="opensea: a CSV of day,symbol,rate that turns prices into USD; without it they stay in their token.",
)
@click.option(
    "--archive",
    type=Place(),
    metavar="FOLDER|URL",
    help="Folder or storage, such as s3://bucket/nft-assets, with the archive of NAME. It is read if --out does not"
    " exist, and written at the end of the fetch.",
)
@click.option(
    "--refresh", is_flag=True, help="opensea: list the items and sales of a complete collection again."
)
@workers_option
@json_option
def fetch(
    name: str,
    origin: str,
    out: Path | None,
    count: int,
    size: int | None,
    seed: int,
    pictures: Path | None,
    columns: dict[str, str],
    encoding: str | None,
    decimal: Literal["auto", "point", "comma"],
    licence: str | None,
    key_file: Path | None,
    api_url: str,
    gateway: str,
    at_once: int,
    download: bool,
    usd: Path | None,
    archive: Path | str | None,
    refresh: bool,
    workers: int | None,
    as_json: bool,
) -> None:
    """Gather the collection NAME into a folder: pictures, traits, prices and sales, in common formats.

    \b
    dicebear:STYLE  pictures with traits, drawn on this machine from a seed (default style: planets)
    drawn:NAME      metagan's own example collections with their traits: apes, bagels or hummingbirds
    folder:PATH     output of an art engine (HashLips, Metaplex, _metadata.json), or only pictures; a folder or a zip
    csv:FILE        a table of artworks: title, name, creator, price, year, type, path and more
    opensea:SLUG    items, traits, sales and pictures of a collection on OpenSea (NAME where no slug is given)

    Run the same command again to continue after an interruption and to retry what was missing.
    """
    from metagan.cli.progress import note, stages
    from metagan.collection.needs import need
    from metagan.collection.sources.csv_table import CsvSource
    from metagan.collection.sources.dicebear import DEFAULT_STYLE, DicebearSource
    from metagan.collection.sources.drawn import DrawnSource
    from metagan.collection.sources.folder import FolderSource
    from metagan.datasets.pool import available_cores

    kind, _, reference = origin.partition(":")
    cores = available_cores() if workers is None else workers
    folder = out or Path("collections") / name
    if archive and not folder.exists():
        _restore(name, str(archive), folder)

    if kind == "opensea":
        need("tenacity")
        from metagan.collection.downloads import Downloads
        from metagan.collection.marketplace import Marketplace, RetryPolicy, read_key
        from metagan.collection.sources.opensea import OpenseaSource, fetch_opensea
        from metagan.collection.usd import read_rates

        market = Marketplace(read_key(key_file), api_url, RetryPolicy(sleep=_wait))
        local = urlsplit(api_url).hostname in LOOPBACK
        downloads = Downloads(gateway, at_once, size or 512, local=local, workers=cores, note=note)
        rates = read_rates(usd) if usd else {}
        listed = OpenseaSource(name, reference or name, market, downloads, rates, licence)
        with closing(market), stages() as progress:
            report = fetch_opensea(
                listed, folder, refresh=refresh, begin=progress.begin, advance=progress.advance
            )
    else:
        source: MadeSource[Any]
        if kind == "dicebear":
            source = DicebearSource(name, reference or DEFAULT_STYLE, count, size or 128, seed)
        elif kind == "drawn" and reference:
            source = DrawnSource(name, reference, count, size or 128, seed)
        elif kind == "folder" and reference:
            require_outside(folder, Path(reference))
            source = FolderSource(name, Path(reference), licence, size or 512)
        elif kind == "csv" and reference:
            source = CsvSource(
                name,
                Path(reference),
                pictures,
                columns=columns,
                encoding=encoding,
                decimal=decimal,
                licence=licence,
                svg_px=size or 512,
            )
        else:
            raise click.BadParameter(f"want {_SOURCES}, got {show(kind)}", param_hint="--from")
        through = gateway if kind == "csv" and download else None
        report = _gather(source, folder, cores, through, at_once, size or 512)
    _show_fetched(report, as_json)
    if archive:
        _archive(folder, name, str(archive), None)


def _restore(name: str, archive: str, folder: Path) -> None:
    from metagan.collection.archive import read_archive

    if read_archive(name, archive, folder):
        click.echo(f"{folder}: read from {archive}", err=True)


def _archive(folder: Path, name: str, url: str, generator: Path | None) -> None:
    from metagan.collection.archive import write_archive

    for written in write_archive(folder, name, url, generator):
        click.echo(f"  {written}", err=True)


def _gather(
    source: MadeSource[Any], folder: Path, workers: int, gateway: str | None, at_once: int, svg_px: int
) -> FetchReport:
    """Gather from a local source; with a gateway, also download pictures that it has only addresses of."""
    from metagan.cli.progress import note, stages
    from metagan.collection.needs import need
    from metagan.collection.sources.made import fetch_made

    with stages() as progress:

        def download(out: Path, items: Sequence[Item]) -> list[Item]:
            need("tenacity")
            from metagan.collection.downloads import Downloads, download_pictures

            local = urlsplit(gateway or "").hostname in LOOPBACK
            how = Downloads(gateway or "", at_once, svg_px, local=local, workers=workers, note=note)
            progress.begin("downloading pictures", len(items))
            return download_pictures(out, items, how, progress.advance)

        return fetch_made(
            source,
            folder,
            workers=workers,
            download=download if gateway else None,
            begin=lambda total: progress.begin("gathering", total),
            advance=progress.advance,
        )


def _wait(seconds: float) -> None:
    if seconds >= _LONG_S:
        click.echo(
            f"waiting {seconds:.0f} s before the next request, as the host asks or after it failed", err=True
        )
    time.sleep(seconds)


def _show_fetched(report: FetchReport, as_json: bool) -> None:
    facts = report.collection.facts
    if as_json:
        shown = {
            "path": str(report.collection.path),
            "items": facts.count,
            "pictures": sum(item.file is not None for item in report.collection.items),
            "sales": len(report.collection.sales),
            "licence": facts.licence,
            "missing": report.missing,
            "notes": report.notes,
            "remarks": report.remarks,
        }
        click.echo(json_text(shown, indent=2))
        return
    for line in _fetched_lines(report):
        click.echo(line)


def _fetched_lines(report: FetchReport) -> Iterator[str]:
    facts, items = report.collection.facts, report.collection.items
    pictures = sum(item.file is not None for item in items)
    traits = {trait.type for item in items for trait in item.traits}
    sold = f", {counted(len(report.collection.sales), 'sale')}" if report.collection.sales else ""
    counts = ((len(items), "item"), (pictures, "picture"), (len(traits), "trait type"))
    told = ", ".join(counted(count, what) for count, what in counts)
    yield f"{report.collection.path}: {told}{sold}"
    if facts.licence:
        named = f"; {facts.attribution}" if facts.attribution else ""
        yield f"  licence: {facts.licence}{named}"
    else:
        yield "  licence: unknown; set it with --licence or in collection.json"
    yield from (f"  {remark}" for remark in report.remarks)
    yield from _listed(report.missing, f"{len(report.missing):,} without a picture")
    yield from _listed(
        report.notes, counted(len(report.notes), "remark about an item", "remarks about items")
    )


def _listed(lines: list[tuple[str, str]], what: str) -> Iterator[str]:
    if lines:
        yield f"  {what}:"
        yield from (f"    {item_id}: {reason}" for item_id, reason in lines[:_SHOWN])
        if len(lines) > _SHOWN:
            yield f"    and {len(lines) - _SHOWN:,} more; items.jsonl and --json have all of them"


@command.command("report", short_help="Write tables, charts and rarity of one or several collections.")
@click.argument("collections", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@out_option("Folder for index.html, index.json and rarity.csv.  [default: report/ in the first collection]")
@click.option(
    "--trim",
    "trims",
    multiple=True,
    type=Number(0, 50, min_open=True, max_open=True),
    default=(1.0, 5.0),
    help="Also compute price statistics without this percentage at both ends. Repeatable.",
)
@click.option(
    "--missing/--no-missing",
    default=True,
    help="Whether a missing trait counts for rarity; it should not where some kinds of items never have the trait.",
)
@click.option(
    "--traits",
    "classifier",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file of `metagan collection traits`, to show its accuracy.",
)
@json_option
def report_command(
    collections: tuple[Path, ...],
    out: Path | None,
    trims: tuple[float, ...],
    missing: bool,
    classifier: Path | None,
    as_json: bool,
) -> None:
    """Analyse COLLECTIONS: years, kinds, prices, traits and rarity, as a page, as JSON and as CSV."""
    from metagan.collection.report import write_report
    from metagan.collection.traits import TraitAccuracy, read_accuracies

    folder = out or collections[0] / "report"
    told: list[TraitAccuracy] = []
    if classifier:
        from metagan.networks.trait_classifier import load_classifier

        told = read_accuracies(load_classifier(classifier)[1], classifier)
    report = write_report(collections, folder, trims=trims, missing=missing, told=told)
    if as_json:
        click.echo((folder / "index.json").read_text("utf-8"), nl=False)
        return
    click.echo(f"{report.page}: open it in a browser")
    for analysis in report.analyses:
        click.echo(
            f"  {analysis.name}: {counted(analysis.items, 'item')}, {counted(len(analysis.types), 'trait type')}"
        )
        for prices in analysis.prices:
            every = prices.tables[0].rows[0]
            unit = f" {prices.currency}" if prices.currency else ""
            click.echo(
                f"    {counted(every.count, 'price')}: mean {every.mean:.4g}{unit}, median {every.median:.4g}{unit}"
            )
            if prices.relation:
                click.echo(
                    f"    rarity and price: {prices.relation.words} (rank correlation {prices.relation.rho:.2f})"
                )


@command.command("subset", short_help="Filter a collection into a smaller one.")
@click.argument("collection", type=click.Path(path_type=Path, file_okay=False))
@out_option("Folder of the new collection.", required=True)
@click.option(
    "--trait",
    "traits",
    multiple=True,
    metavar="TYPE=VALUE",
    help="Keep items with this trait. Repeatable: values of one type are alternatives, different types must all match.",
)
@click.option("--category", "categories", multiple=True, help="Keep items of this category. Repeatable.")
@click.option("--type", "types", multiple=True, help="Keep items of this type, such as photo. Repeatable.")
@click.option("--year", metavar="YEAR[-YEAR]", help="Keep items created in these years.")
@click.option("--not-nsfw", is_flag=True, help="Drop items marked as not safe for work.")
@click.option(
    "--trim",
    type=Number(0, 50, min_open=True, max_open=True),
    help="Drop this percentage of the cheapest and of the most expensive items.",
)
@click.option("--min-size", type=Whole(1), help="Drop pictures with fewer pixels on a side.")
@click.option(
    "--min-spread",
    type=Number(0, 255),
    help="Drop flat pictures, whose colours deviate by less than this, of 255 (5 drops single colours).",
)
@click.option(
    "--no-duplicates", is_flag=True, help="Drop pictures whose file is the same as another's, byte by byte."
)
@click.option(
    "--no-near-duplicates",
    type=Whole(0, 32),
    metavar="BITS",
    help="Drop pictures whose perceptual hash differs from another one's in at most BITS of 64 (4: re-encoded copies).",
)
@click.option(
    "--max-words", type=Whole(0), help="Drop pictures in which tesseract reads more words than this."
)
@click.option(
    "--language",
    default="eng",
    metavar="LANGUAGE[+LANGUAGE]",
    help="Languages that --max-words reads, as tesseract names them, such as eng+deu.",
)
@click.option(
    "--top", metavar="N|P%", help="Keep the items with the highest values of --by: a number or a percentage."
)
@click.option("--bottom", metavar="N|P%", help="Keep the items with the lowest values of --by.")
@click.option(
    "--by",
    type=click.Choice(["rarity", "price", "likes", "sales"]),
    default="rarity",
    help="The value that --top and --bottom sort by.",
)
@click.option("--sample", type=Whole(1), help="Keep this many random items.")
@click.option("--seed", type=Whole(0), default=0, help="Random seed of --sample.")
@json_option
def subset_command(
    collection: Path,
    out: Path,
    traits: tuple[str, ...],
    categories: tuple[str, ...],
    types: tuple[str, ...],
    year: str | None,
    not_nsfw: bool,
    trim: float | None,
    min_size: int | None,
    min_spread: float | None,
    no_duplicates: bool,
    no_near_duplicates: int | None,
    max_words: int | None,
    language: str,
    top: str | None,
    bottom: str | None,
    by: Literal["rarity", "price", "likes", "sales"],
    sample: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Filter COLLECTION into a new one, for example to train on it. Filters apply in the order of the options below.

    Pictures are linked, not copied."""
    from metagan.cli.progress import note, stages
    from metagan.collection.looks import Watch, looks_of
    from metagan.collection.subset import Choice, parse_traits, parse_years, take_subset

    choice = Choice(
        traits=parse_traits(traits),
        categories=categories,
        types=types,
        years=parse_years(year) if year else None,
        not_nsfw=not_nsfw,
        trim_percent=trim,
        by=by,
        top=top,
        bottom=bottom,
        sample=sample,
        seed=seed,
    )
    with stages() as progress:
        looks = looks_of(
            side_px=min_size,
            deviation=min_spread,
            duplicates=no_duplicates,
            near_bits=no_near_duplicates,
            most_words=max_words,
            language=language,
            watch=Watch(progress.begin, progress.advance, note),
        )
        report = take_subset(collection, out, choice, list(looks))
    if as_json:
        steps = [{"step": step.what, "left": step.left} for step in report.steps]
        click.echo(json_text({"path": str(out), "steps": steps}, indent=2))
        return
    for step in report.steps:
        click.echo(f"  {step.left:>9,}  {step.what}")
    click.echo(f"{out}: {counted(len(report.collection.items), 'item')}")


@command.command("listing", short_help="Write pictures, metadata and a manifest for lazy minting.")
@click.argument("what", metavar="SUBJECT|WEIGHTS")
@out_option("A new folder.", required=True)
@click.option("--count", type=Whole(1, 1_000_000), default=100, help="Number of pictures.")
@click.option(
    "--layout",
    type=click.Choice(["opensea", "metaplex", "thirdweb", "hashlips"]),
    default="opensea",
    help="Layout of the files: a drop on OpenSea, Metaplex, thirdweb, or HashLips.",
)
@click.option("--name", "pattern", help="Names, with {number} and {seed}.  [default: TITLE #{number}]")
@click.option("--description", help="Description in every token's metadata.")
@click.option("--licence", help="The pictures' licence.  [default: the subject's]")
@click.option("--external-url", help="Address of a page that shows the pictures, such as your site's.")
@click.option("--first-seed", type=Whole(0, (1 << 32) - 1), default=0, help="First seed.")
@psi_option()
@class_option
@click.option(
    "--collection",
    "training",
    type=click.Path(path_type=Path, file_okay=False),
    help="The training collection: near duplicates of its pictures are refused, and shown as pairs in refused/.",
)
@click.option(
    "--traits",
    "classifier",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file of `metagan collection traits`, to predict the traits of every picture.",
)
@click.option(
    "--pick",
    type=click.Choice(["random", "rarest", "critic"]),
    default="random",
    help="Draw ten times as many and list those with the rarest traits (rarest; needs --traits and --collection), or"
    " those that the discriminator takes for real most readily (critic).",
)
@click.option(
    "--discriminator",
    type=click.Path(path_type=Path),
    help="What --pick critic asks: a run folder of `metagan train`, or a weights file with a discriminator."
    "  [default: the run folder of WEIGHTS, or WEIGHTS]",
)
@click.option(
    "--near",
    type=Number(0, 255),
    default=6.0,
    help="Largest distance of near duplicates: root mean square difference at 16x16 pixels, in levels of 255.",
)
@device_option
@weights_options
def listing_command(
    what: str,
    out: Path,
    count: int,
    layout: Literal["opensea", "metaplex", "thirdweb", "hashlips"],
    pattern: str | None,
    description: str | None,
    licence: str | None,
    external_url: str | None,
    first_seed: int,
    psi: float | None,
    label: Label | None,
    training: Path | None,
    classifier: Path | None,
    pick: Literal["random", "rarest", "critic"],
    discriminator: Path | None,
    near: float,
    device: str,
    registry: Path,
    sha256: str | None,
    offline: bool,
) -> None:
    """Write pictures of a SUBJECT or a weights file for a listing: files, metadata, manifest and provenance hash.

    It mints nothing and touches no wallet. Every picture's metadata say that a machine made it.
    """
    import numpy as np

    from metagan.cli.progress import note, stages
    from metagan.collection.listing import (
        Candidate,
        NearestItems,
        Terms,
        rarest_first,
        title_of,
        write_listing,
    )
    from metagan.collection.store import open_collection
    from metagan.collection.table import open_table
    from metagan.sampling.target import find_target, open_sampler

    with stages() as progress:
        target = find_target(what, registry, sha256, offline=offline, progress=progress.transfer)
    settings = target.settings(psi, label)
    known = open_collection(training) if training else None
    named = known.facts.title or known.facts.name if known else target.title or title_of(target.weights)
    title = named[:1].upper() + named[1:]
    terms = Terms(
        name=pattern or f"{title.replace('{', '{{').replace('}', '}}')} #{{number}}",
        description=description or f"{title}: a picture of what does not exist, made by a machine.",
        generator=f"{target.name} (metagan)",
        psi=settings.psi,
        licence=licence or target.licence,
        source=target.source,
        external_url=external_url,
    )
    if pick == "rarest" and not (known and classifier):
        raise click.UsageError("--pick rarest needs --traits and --collection, which say what is rare")
    if discriminator and pick != "critic":
        raise click.UsageError("--discriminator needs --pick critic")
    if first_seed + count > 1 << 32:
        raise click.UsageError(
            f"--count {count:,} needs a --first-seed of at most {(1 << 32) - count}, got {first_seed}"
        )
    sampler = open_sampler(target, device, note=note)
    last = min(first_seed + count * 10, 1 << 32)  # nine of ten may be refused before it gives up
    seeds: Sequence[int] = range(first_seed, last)
    if pick == "critic":
        seeds = _critic_s_order(sampler, settings, discriminator or target.weights, seeds)
    with stages() as progress:

        def drawn(seeds: Sequence[int]) -> Iterator[Candidate]:
            for seed, picture in sampler.pictures(seeds, settings):
                yield Candidate(seed, picture)
                progress.advance(1)

        if pick == "rarest" and training and classifier:
            # The pictures of all would fill the memory: those that are listed are drawn again.
            progress.begin("predicting traits", len(seeds))
            nothing = np.empty((0, 0, 3), np.uint8)
            told = [dataclasses.replace(one, picture=nothing) for one in _labelled(drawn(seeds), classifier)]
            seeds = [one.seed for one in rarest_first(told, open_table(training))]
        progress.begin("drawing", count)
        candidates = _labelled(drawn(seeds), classifier) if classifier else drawn(seeds)
        nearest = NearestItems(known) if known else None
        report = write_listing(out, candidates, count, layout, terms, training=nearest, near_levels=near)
    click.echo(f"{out}: {counted(len(report.tokens), 'picture')} for {layout}, licence {terms.licence}")
    click.echo(f"  provenance hash {report.provenance}")
    if report.refused:
        pairs = "the pair is" if len(report.refused) == 1 else "the pairs are"
        near_ones = "a near duplicate" if len(report.refused) == 1 else "near duplicates"
        click.echo(
            f"  {len(report.refused):,} refused as {near_ones} of {training}; {pairs} in {out / 'refused'}:"
        )
        for refused in report.refused[:_SHOWN]:
            click.echo(f"    seed {refused.seed} is like item {refused.item} ({refused.levels:.1f} levels)")


def _critic_s_order(
    sampler: Sampler, settings: Settings, discriminator: Path, seeds: Sequence[int]
) -> list[int]:
    """Return seeds in the order of their pictures' scores by a discriminator, the highest first.

    Args:
        sampler: What draws.
        settings: How to draw.
        discriminator: A run folder, a weights file with a discriminator, or one of a run's generators.
        seeds: The seeds.

    Raises:
        CheckpointError, TrainingError: If there is no discriminator, or it can't be read.
        OptionError: If it scores other pictures than the generator draws.
    """
    from metagan.cli.progress import stages
    from metagan.errors import UnknownArchitectureError
    from metagan.lab.rank import Ranker, RankOptions, read_discriminator
    from metagan.training.run_folder import RunFolder
    from metagan.training.state import has_state

    of_run = has_state(RunFolder(discriminator.parent).state)
    try:
        network = read_discriminator(discriminator.parent if of_run else discriminator)
    except UnknownArchitectureError as error:
        raise UnknownArchitectureError(
            f"no discriminator that --pick critic could ask ({error.what})",
            where=error.where,
            fix="give --discriminator the folder of the run that trained these weights, or a file that has one",
        ) from error
    ranker = Ranker(sampler, settings, RankOptions(by="discriminator"), discriminator=network)
    with stages() as progress:
        progress.begin("scoring", len(seeds))
        scores = []
        for score in ranker.score(seeds):
            scores.append(score)
            progress.advance(1)
    return [score.seed for score in ranker.order(scores)]


def _labelled(candidates: Iterator[Candidate], classifier: Path) -> Iterator[Candidate]:
    """Yield candidates with the traits that the classifier predicts; "none" is not a trait."""
    import numpy as np
    import torch

    from metagan.networks.trait_classifier import load_classifier

    network, _ = load_classifier(classifier)
    while some := list(itertools.islice(candidates, 64)):
        rgb = np.stack([np.broadcast_to(one.picture, (*one.picture.shape[:2], 3)) for one in some])
        for one, values in zip(some, network.tell_values(torch.from_numpy(rgb)), strict=True):
            yield dataclasses.replace(one, traits=tuple(values.items()))


@command.command("archive", short_help="Copy a collection's zips to a folder or a storage.")
@click.argument("collection", type=click.Path(path_type=Path, file_okay=False))
@click.argument("place", metavar="FOLDER|URL", type=Place())
@click.option("--name", help="Name of the archive.  [default: the collection's name]")
@click.option(
    "--generator",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Weights of a generator to add as NAME_generator.zip.",
)
def archive_command(collection: Path, place: Path | str, name: str | None, generator: Path | None) -> None:
    """Write NAME/NAME_archive.zip, NAME_metadata_archive.zip and NAME_generator.zip of COLLECTION under a place.

    `metagan collection fetch NAME --archive PLACE` reads them back.
    """
    from metagan.collection.store import open_collection

    _archive(collection, name or open_collection(collection).facts.name, str(place), generator)


@command.command(
    "traits", short_help="Train a classifier of the collection's traits, for generated pictures."
)
@click.argument("collection", type=click.Path(path_type=Path, file_okay=False))
@out_file_option("The file, NAME.safetensors.", required=True)
@click.option(
    "--resolution",
    type=Whole(8, 512),
    default=64,
    help="Side of the classifier's input in pixels, a power of two.",
)
@click.option("--epochs", type=Whole(1, 1000), default=12, help="Number of passes over the items.")
@click.option(
    "--min-accuracy",
    type=Number(0, 1),
    default=0.0,
    help="Leave out trait types that are predicted right less often than this.",
)
@click.option(
    "--seed",
    type=Whole(0, (1 << 32) - 1),
    default=0,
    help="Random seed of the held-out items, the order and the initial weights.",
)
@workers_option
@device_option
@json_option
def traits_command(
    collection: Path,
    out: Path,
    resolution: int,
    epochs: int,
    min_accuracy: float,
    seed: int,
    workers: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Train a small classifier that predicts COLLECTION's traits for pictures that a generator drew.

    A tenth of the items is held out. Each trait's accuracy on it is compared with that of always predicting the most
    common value; trait types that are not predicted better than that are left out of the file. An existing file
    that predicts the same collection's traits better is kept.
    """
    import torch

    from metagan.checkpoints.write import write_safetensors
    from metagan.cli.progress import note, stages
    from metagan.collection.store import open_collection
    from metagan.collection.training_data import load_labelled
    from metagan.datasets.pool import available_cores
    from metagan.networks.trait_classifier import describe_classifier
    from metagan.sampling.device import choose_device
    from metagan.training.run_folder import read_training
    from metagan.training.traits import TraitsRecipe, mean_accuracy, read_former, train_traits

    if resolution & (resolution - 1):
        raise click.BadParameter(f"want a power of two, got {resolution}", param_hint="--resolution")
    known, former = open_collection(collection), read_former(out)
    recipe = TraitsRecipe(epochs=epochs, seed=seed, min_accuracy=min_accuracy)
    with stages() as progress:
        progress.begin("reading pictures", sum(item.file is not None for item in known.items))
        cores = available_cores() if workers is None else workers
        pictures, labels = load_labelled(known, resolution, cores, progress.advance)
        progress.begin("training", len(pictures) * epochs * 9 // 10)
        classifier, told = train_traits(
            torch.from_numpy(pictures), labels, recipe, choose_device(device), progress.advance
        )
    held_out = -(-len(pictures) // 10)
    facts = {
        "collection": known.facts.name,
        "items": len(pictures),
        "held_out": held_out,
        "recipe": dataclasses.asdict(recipe),
        "told": [dataclasses.asdict(one) for one in told],
    }
    header = dataclasses.replace(
        describe_classifier(classifier),
        licence=known.facts.licence or "unknown",
        source=known.facts.name,
        training=facts,
    )
    accuracy = mean_accuracy(told)
    other = read_training(out).get("collection")
    if former is not None and other not in (None, known.facts.name):
        note(f"{out} tells the traits of {other}, another collection, and is replaced")
    elif former is not None and former > accuracy:
        better, out = out, out.with_name(f"{out.stem}.worse{out.suffix}")
        note(
            f"{better} is right more often ({former:.1%} against {accuracy:.1%}) and stays; the new one is {out.name}"
        )
    write_safetensors(out, classifier.state_dict(), header)
    if as_json:
        click.echo(json_text(facts, indent=2))
        return
    kept = sum(one.kept for one in told)
    click.echo(
        f"{out}: tells {kept} of {counted(len(told), 'trait type')}, measured on "
        f"{counted(held_out, 'held-out item')}"
    )
    for one in sorted(told, key=lambda one: (not one.kept, one.type)):
        left_out = f"  left out: {one.why}" if not one.kept else ""
        click.echo(
            f"  {one.accuracy:>6.1%}  (most common value {one.majority:.1%}, {counted(one.values, 'value')})  "
            f"{one.type}{left_out}"
        )


@command.command("review", short_help="Sort pictures out by eye, on a page on this machine.")
@click.argument("what", metavar="COLLECTION|SUBJECT")
@registry_option
@click.option("--port", type=Whole(0, 65535), default=0, help="Port of the page; 0 for any that is free.")
@device_option
@offline_option
def review_command(what: str, registry: Path, port: int, device: str, offline: bool) -> None:
    """Show contact sheets in the browser, to reject pictures with mouse or keyboard.

    For a COLLECTION, rejected items are written to its review.csv, which `subset` applies. For a SUBJECT of the
    registry, generated pictures are shown, and rejected seeds are written to its `exclude`. Press Ctrl-C to stop.
    """
    from metagan.collection.store import is_collection

    server: ReviewServer
    if is_collection(Path(what)):
        server = _review_collection(Path(what), port)
    else:
        server = _review_subject(what, registry, port, device, offline=offline)
    click.echo(f"{server.url} (press Ctrl-C to stop)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
    click.echo(f"{len(server.out):,} of {counted(len(server.pictures), 'picture')} sorted out")


def _review_collection(path: Path, port: int) -> ReviewServer:
    from metagan.collection.review import read_review, write_review
    from metagan.collection.review_page import Reviewed, ReviewServer
    from metagan.collection.store import open_collection

    collection = open_collection(path)
    pictures = [
        Reviewed(item.id, item.name or item.id, item.file.rpartition(".")[2], (path / item.file).read_bytes)
        for item in collection.items
        if item.file
    ]
    title = collection.facts.title or collection.facts.name
    return ReviewServer(title, pictures, read_review(path), lambda out: write_review(path, out), port)


def _review_subject(slug: str, registry: Path, port: int, device: str, *, offline: bool) -> ReviewServer:
    from metagan.cli.progress import note, stages
    from metagan.collection.review_page import Reviewed, ReviewServer
    from metagan.images.encode import encode
    from metagan.registry.exclude import excluded_seeds, write_exclude
    from metagan.registry.read import find_subject, read_registry
    from metagan.sampling.target import find_target, open_sampler

    if not registry.exists():
        raise click.BadParameter(
            f"{show(slug)} is no collection, and there is no {registry} in which it could be a subject"
        )
    subject = find_subject(read_registry(registry), slug)
    out = excluded_seeds(registry, subject.slug)
    with stages() as progress:
        target = find_target(slug, registry, offline=offline, progress=progress.transfer)
    sampler = open_sampler(target, device, note=note)
    seeds = sorted({*subject.seeds, *out})
    pictures = []
    with stages() as progress:
        progress.begin("drawing", len(seeds))
        for seed, picture in sampler.pictures(seeds, target.settings()):
            data = io.BytesIO(encode(picture, "png"))
            pictures.append(Reviewed(str(seed), f"seed {seed}", "png", data.getvalue))
            progress.advance(1)

    def save(chosen: frozenset[str]) -> None:
        write_exclude(registry, subject.slug, [int(seed) for seed in chosen])

    return ReviewServer(subject.title, pictures, frozenset(map(str, out)), save, port)
