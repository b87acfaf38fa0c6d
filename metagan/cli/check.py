"""`metagan check`."""

from __future__ import annotations

from pathlib import Path

import click

from metagan.cli.options import offline_option, registry_option, templates_option
from metagan.errors import RegistryError


@click.command("check", short_help="Say whether registry, templates and weights hold.")
@registry_option
@templates_option
@offline_option
def command(registry: Path, templates: Path | None, offline: bool) -> None:
    """Say whether a registry, its templates, texts and weights are fit for a build, without building.

    Everything that is wrong is listed at once, each thing with its place and what to do about it. Remote weights
    are downloaded into the cache, unless offline.
    """
    from metagan.cli.progress import stages
    from metagan.site.build.preflight import survey

    with stages() as progress:
        found = survey(registry, templates, offline=offline, progress=progress.transfer)
    if found.registry is None:
        click.echo("Texts and weights are looked at once the registry holds.", err=True)
    if found.problems:
        raise RegistryError(found.problems)
    if found.registry:
        subjects, pictures = found.registry.subjects, sum(len(s.seeds) for s in found.registry.subjects)
        click.echo(f"{registry}: all is well (subjects: {len(subjects):,}, pictures: {pictures:,})")
