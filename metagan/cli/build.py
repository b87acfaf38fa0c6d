"""`metagan build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from metagan.cli.options import SiteOptions, place_option, site_options
from metagan.values import counted

if TYPE_CHECKING:
    from metagan.site.build.build import BuildReport

FOLDER = Path("build")


@click.command("build", short_help="Build the site.")
@click.argument("subjects", metavar="[SUBJECT]...", nargs=-1)
@place_option(
    "Folder of the built site. With an address, such as s3://bucket, it is built in build/ and then published there.",
    default=FOLDER,
)
@site_options
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
def command(subjects: tuple[str, ...], strict: bool, out: Path | str, **site: Unpack[SiteOptions]) -> None:
    """Build or update the site that a registry describes. With SUBJECTs, build a site of only these.

    Only what changed is made again. The previous site stays in place until the new one is complete. An
    interrupted build resumes where it stopped.
    """
    from metagan.cli.progress import stages
    from metagan.site.build.build import BuildOptions, build_site

    folder = out if isinstance(out, Path) else FOLDER
    options = BuildOptions.read(out=folder, subjects=subjects, strict=strict, **site)
    with stages() as progress:
        outcome = build_site(options, progress)
    report(outcome)
    if isinstance(out, str):
        publish(out)


def publish(address: str) -> None:
    """Send the built site to a storage."""
    from metagan.cli.progress import transferring
    from metagan.site.publish.storage import publish_to_storage

    with transferring(f"publishing to {address}") as sent:
        plan = publish_to_storage(FOLDER, address, dry_run=False, overwrite=False, sent=sent)
    click.echo(f"{plan.target}: {counted(len(plan.uploads), 'file')} sent, {len(plan.removed):,} removed")


def report(outcome: BuildReport) -> None:
    """Print what was built to stdout, and warnings to stderr."""
    for warning in outcome.warnings:
        click.echo(f"warning: {warning}", err=True)
    did = "nothing to do" if outcome.unchanged else f"{outcome.drawn} of them new"
    click.echo(
        f"{outcome.out}: {counted(outcome.subjects, 'subject')}, {counted(outcome.pictures, 'picture')} "
        f"({did}), {counted(outcome.files, 'file')}"
    )
