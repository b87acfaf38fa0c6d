"""`metagan build`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from metagan.cli.options import SiteOptions, site_options

if TYPE_CHECKING:
    from metagan.site.build.build import BuildReport


@click.command("build", short_help="Build the site.")
@click.argument("subjects", metavar="[SUBJECT]...", nargs=-1)
@site_options
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
def command(subjects: tuple[str, ...], strict: bool, **site: Unpack[SiteOptions]) -> None:
    """Build or update the site that a registry describes. With SUBJECTs, build a site of only these.

    Only what changed is made again. The previous site stays in place until the new one is complete. An
    interrupted build resumes where it stopped.
    """
    from metagan.cli.progress import stages
    from metagan.site.build.build import BuildOptions, build_site

    options = BuildOptions.read(subjects=subjects, strict=strict, **site)
    with stages() as progress:
        outcome = build_site(options, progress)
    report(outcome)


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
