"""`metagan init`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("init", short_help="Begin a site of your own.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Begin a site of your own in DIR, which may be there already.

    Writes a registry.yaml that builds at once and without a network, a copy of the page templates to edit, and a
    workflow that publishes the site on GitHub Pages. Nothing that is there is overwritten.
    """
    from metagan.site.scaffold import GITIGNORE, scaffold

    written = scaffold(folder)
    templates = [path for path in written if path.parts[0] == "templates"]
    for path in written:
        if path not in templates:
            click.echo(f"{folder / path}")
    click.echo(f"{folder / 'templates'}: {len(templates)} files; delete what you don't change")
    if GITIGNORE not in written:
        click.echo(
            f"{folder / GITIGNORE} was there and stays; /build/ and /.metagan/ belong into it", err=True
        )
    click.echo(f"next: cd {folder} && metagan build && metagan serve", err=True)
