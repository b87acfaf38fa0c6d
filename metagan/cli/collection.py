"""`metagan collection`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from metagan.collection.sources.made import FetchReport, MadeSource

_SHOWN = 5
_SOURCES = "dicebear[:STYLE]|folder:PATH|csv:FILE"


@click.group("collection", short_help="Gather a collection of pictures with traits and prices, and study it.")
def command() -> None:
    """Gather a collection (a folder of pictures with their traits and prices), study it, and choose from it."""


def _columns(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    wrong = [
        value for value, pair in zip(values, pairs, strict=True) if not (pair[0].strip() and pair[2].strip())
    ]
    if wrong:
        raise click.BadParameter(f"want COLUMN=NAME IN THE FILE, such as price=cost, got {wrong[0]!r}")
    return {name.strip(): column.strip() for name, _, column in pairs}


@command.command("fetch", short_help="Gather a collection; again: goes on.")
@click.argument("name")
@click.option("--from", "origin", metavar=_SOURCES, required=True, help="Where it comes from.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="The collection's folder.  [default: collections/NAME]",
)
@click.option("--count", type=click.IntRange(1, 10_000_000), default=10_000, help="dicebear: how many items.")
@click.option(
    "--size",
    type=click.IntRange(8, 4096),
    help="Side in pixels of what is drawn here.  [default: 128 for dicebear, 512 for SVG]",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, help="dicebear: other seeds give other collections."
)
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    help="csv: the folder that its column path is relative to.",
)
@click.option(
    "--map",
    "columns",
    multiple=True,
    metavar="COLUMN=NAME",
    callback=_columns,
    help="csv: what the file calls a column (price=cost), or which column is a trait (trait:Hat=hat). Repeatable.",
)
@click.option("--encoding", help="csv: its encoding, where it is neither UTF-8, UTF-16 nor Windows-1252.")
@click.option(
    "--decimal",
    type=click.Choice(["auto", "point", "comma"]),
    default="auto",
    help="csv: what separates a number's decimals.",
)
@click.option("--licence", help="folder, csv: the pictures' licence, such as CC0-1.0.")
@click.option(
    "--workers", type=click.IntRange(0), help="Processes; one a core by default, 0 for none but this one."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, for scripts.")
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
    decimal: str,
    licence: str | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Gather the collection NAME: pictures, traits, prices and sales, in a folder that other programs can read too.

    \b
    dicebear:STYLE  pictures with traits, drawn on this machine from a seed (planets where no style is named)
    folder:PATH     what an art engine wrote (HashLips, Metaplex, _metadata.json), or pictures alone; a folder or a zip
    csv:FILE        a table of artworks: title, name, creator, price, year, type, path and more

    The same call again goes on where it was interrupted, and asks again for what was missing.
    """
    from metagan.cli.progress import stages
    from metagan.collection.sources.made import fetch_made
    from metagan.datasets.pool import available_cores

    kind, _, reference = origin.partition(":")
    source: MadeSource[Any]
    if kind == "dicebear":
        source = _dicebear(name, reference, count, size, seed)
    elif kind == "folder" and reference:
        source = _folder(name, reference, licence, size)
    elif kind == "csv" and reference:
        source = _csv(name, reference, pictures, columns, encoding, decimal, licence, size)
    else:
        raise click.BadParameter(f"want {_SOURCES}, got {origin!r}", param_hint="--from")
    cores = available_cores() if workers is None else workers
    with stages() as progress:
        report = fetch_made(
            source,
            out or Path("collections") / name,
            workers=cores,
            begin=lambda total: progress.begin("gathering", total),
            advance=progress.advance,
        )
    _show_fetched(report, as_json)


def _dicebear(name: str, style: str, count: int, size: int | None, seed: int) -> MadeSource[Any]:
    from metagan.collection.sources.dicebear import DEFAULT_STYLE, DicebearSource

    return DicebearSource(name, style or DEFAULT_STYLE, count, size or 128, seed)


def _folder(name: str, path: str, licence: str | None, size: int | None) -> MadeSource[Any]:
    from metagan.collection.sources.folder import FolderSource

    return FolderSource(name, Path(path), licence, size or 512)


def _csv(
    name: str,
    path: str,
    pictures: Path | None,
    columns: dict[str, str],
    encoding: str | None,
    decimal: str,
    licence: str | None,
    size: int | None,
) -> MadeSource[Any]:
    from metagan.collection.sources.csv_table import CsvSource, Decimal

    how: dict[str, Decimal] = {"auto": "auto", "point": "point", "comma": "comma"}
    return CsvSource(
        name,
        Path(path),
        pictures,
        columns=columns,
        encoding=encoding,
        decimal=how[decimal],
        licence=licence,
        svg_px=size or 512,
    )


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
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    for line in _fetched_lines(report):
        click.echo(line)


def _fetched_lines(report: FetchReport) -> Iterator[str]:
    facts, items = report.collection.facts, report.collection.items
    pictures = sum(item.file is not None for item in items)
    traits = {trait.type for item in items for trait in item.traits}
    sold = f", {len(report.collection.sales):,} sales" if report.collection.sales else ""
    yield f"{report.collection.path}: {len(items):,} items, {pictures:,} pictures, {len(traits)} trait types{sold}"
    if facts.licence:
        named = f"; {facts.attribution}" if facts.attribution else ""
        yield f"  licence: {facts.licence}{named}"
    else:
        yield "  licence: not known; say it with --licence, or in collection.json"
    yield from (f"  {remark}" for remark in report.remarks)
    yield from _listed(report.missing, "without a picture")
    yield from _listed(report.notes, "things that couldn't be used")


def _listed(lines: list[tuple[str, str]], what: str) -> Iterator[str]:
    if lines:
        yield f"  {len(lines):,} {what}:"
        yield from (f"    {item_id}: {reason}" for item_id, reason in lines[:_SHOWN])
        if len(lines) > _SHOWN:
            yield f"    and {len(lines) - _SHOWN:,} more; items.jsonl and --json have all of them"
