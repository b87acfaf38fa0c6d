"""`metagan check`."""

from __future__ import annotations

from pathlib import Path

import click

from metagan.cli.options import offline_option, registry_option, templates_option
from metagan.errors import RegistryError


@click.command("check", short_help="Check the registry, templates and weights without building.")
@registry_option
@templates_option
@offline_option
def command(registry: Path, templates: Path | None, offline: bool) -> None:
    """Check a registry, its templates, texts and weights without building the site.

    Lists all problems at once, each with its place and a fix. Remote weights are downloaded into the cache,
    unless --offline is given.
    """
    from metagan.cli.progress import stages
    from metagan.site.build.preflight import preflight

    with stages() as progress:
        found = preflight(registry, templates, offline=offline, progress=progress.transfer)
    if found.registry is None:
        click.echo("Texts and weights were not checked, because the registry has errors.", err=True)
    if found.problems:
        raise RegistryError.of(found.problems)
    if found.registry:
        subjects, pictures = found.registry.subjects, sum(len(s.seeds) for s in found.registry.subjects)
        click.echo(f"{registry}: no problems found (subjects: {len(subjects):,}, pictures: {pictures:,})")
