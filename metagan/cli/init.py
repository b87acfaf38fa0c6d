"""`metagan init`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from metagan import __version__
from metagan.cli.options import OutPath
from metagan.errors import OptionError
from metagan.files import replacing, write_bytes
from metagan.values import counted

SOURCES = Path(__file__).with_name("scaffold_files")
GITIGNORE = Path(".gitignore")
TEXTS = {
    Path("registry.yaml"): SOURCES / "registry.yaml",
    Path(".github/workflows/pages.yml"): SOURCES / "pages.yml",
    GITIGNORE: SOURCES / "gitignore.txt",
}
LISTED = 10


def scaffold(folder: Path, *, templates: bool = False) -> tuple[Path, ...]:
    """Write a new project into a folder, which may exist and contain other files.

    An existing .gitignore is not changed, and not part of the result.

    Args:
        folder: The project's folder.
        templates: Whether to copy the page templates as well.

    Returns:
        The files written, relative to the folder.

    Raises:
        OptionError: If a file of the project exists already. Nothing was written then.
    """
    sources = dict(_sources()) if templates else dict(TEXTS)
    in_the_way = sorted(path for path in sources if os.path.lexists(folder / path) and path != GITIGNORE)
    in_the_way += [
        path for path in _parents(sources) if (folder / path).exists() and not (folder / path).is_dir()
    ]
    if in_the_way or (folder.exists() and not folder.is_dir()):
        raise _refusal(folder, in_the_way)
    wanted = {path: source for path, source in sources.items() if not os.path.lexists(folder / path)}
    for path, source in wanted.items():
        if source.parent == SOURCES:
            write_bytes(folder / path, source.read_bytes().replace(b"@VERSION@", __version__.encode()))
        else:
            with replacing(folder / path) as beside:
                shutil.copyfile(source, beside)
    return tuple(wanted)


def _sources() -> Iterator[tuple[Path, Path]]:
    from metagan.site.pages.templates import default_templates_dir

    yield from TEXTS.items()
    templates = default_templates_dir()
    for file in sorted(templates.rglob("*")):
        inside = file.relative_to(templates)
        if file.is_file() and not any(part.startswith((".", "__")) for part in inside.parts):
            yield Path("templates") / inside, file


def _parents(paths: dict[Path, Path]) -> list[Path]:
    return sorted({parent for path in paths for parent in path.parents if parent != Path()})


def _refusal(folder: Path, in_the_way: list[Path]) -> OptionError:
    if not in_the_way:
        return OptionError("this is a file", where=folder, fix="name a folder")
    names = [f"  {path}" for path in in_the_way[:LISTED]]
    if len(in_the_way) > LISTED:
        names.append(f"  and {len(in_the_way) - LISTED} more")
    return OptionError(
        "\n".join(["these files exist already, so nothing was written:", *names]),
        where=folder,
        fix="choose another folder, or move these files; metagan init never overwrites files",
    )


@click.command("init", short_help="Create a project for a new site.")
@click.argument("folder", metavar="DIR", type=OutPath(folder=True))
@click.option(
    "--templates",
    is_flag=True,
    help="Also copy the page templates, to edit. Copies stay as they are when metagan is updated.",
)
def command(folder: Path, templates: bool) -> None:
    """Create a project for a new site in DIR, which may exist already.

    Writes a registry.yaml that builds at once without a network, and a workflow that publishes the site on GitHub
    Pages. Existing files are not overwritten.
    """
    written = scaffold(folder, templates=templates)
    copied = [path for path in written if path.parts[0] == "templates"]
    for path in written:
        if path not in copied:
            click.echo(f"{folder / path}")
    if copied:
        click.echo(f"{folder / 'templates'}: {counted(len(copied), 'file')}; delete what you don't change")
    if GITIGNORE not in written:
        click.echo(
            f"{folder / GITIGNORE} exists and was not changed; add /build/ and /.metagan/ to it", err=True
        )
    click.echo(f"next: cd {folder} && metagan build && metagan serve", err=True)
