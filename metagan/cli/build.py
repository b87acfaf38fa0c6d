"""`metagan build`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metagan.cli.options import site_options

if TYPE_CHECKING:
    from metagan.site.build.build import BuildOptions, BuildReport


@click.command("build", short_help="Build the site.")
@click.argument("subjects", metavar="[SUBJECT]...", nargs=-1)
@site_options
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
def command(
    subjects: tuple[str, ...],
    registry: Path,
    out: Path,
    base_url: str | None,
    images: int | None,
    templates: Path | None,
    device: str,
    precision: str,
    offline: bool,
    strict: bool,
) -> None:
    """Build or update the site that a registry describes. With SUBJECTs, build a site of only these.

    Only what changed is made again. The previous site stays in place until the new one is complete. An
    interrupted build resumes where it stopped.
    """
    from metagan.cli.progress import stages
    from metagan.site.build.build import build_site

    order = make_order(registry, out, base_url=base_url, images=images, templates=templates, offline=offline)
    order = dataclasses.replace(order, subjects=subjects, device=device, precision=precision, strict=strict)
    with stages() as progress:
        outcome = build_site(order, progress)
    report(outcome)


def make_order(
    registry: Path,
    out: Path,
    *,
    base_url: str | None = None,
    images: int | None = None,
    templates: Path | None = None,
    offline: bool = False,
) -> BuildOptions:
    """Read the registry and apply the options of `metagan build` to it."""
    from metagan.registry.fields import parse_base_url
    from metagan.registry.read import read_registry
    from metagan.site.build.build import BuildOptions

    read = read_registry(registry, images=images)
    if base_url is not None:
        try:
            site = dataclasses.replace(read.site, base_url=parse_base_url(base_url))
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--base-url") from error
        read = dataclasses.replace(read, site=site)
    beside = registry.absolute().parent / "templates"
    chosen = templates or (beside if beside.is_dir() else None)
    return BuildOptions(read, out, templates=chosen, offline=offline, tidy=images is None)


def report(outcome: BuildReport) -> None:
    """Print what was built to stdout, and warnings to stderr."""
    for warning in outcome.warnings:
        click.echo(f"warning: {warning}", err=True)
    did = "nothing to do" if outcome.unchanged else f"{outcome.drawn} of them new"
    click.echo(
        f"{outcome.out}: {_count(outcome.subjects, 'subject')}, {_count(outcome.pictures, 'picture')} "
        f"({did}), {_count(outcome.files, 'file')}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
