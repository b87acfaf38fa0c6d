"""Lay out a new project: a registry, templates to edit, and a workflow that publishes it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from metagan import __version__
from metagan.errors import OptionError
from metagan.files import replacing, write_bytes
from metagan.site.templates import default_templates_dir

SOURCES = Path(__file__).with_name("scaffold_files")
GITIGNORE = Path(".gitignore")
TEXTS = {
    Path("registry.yaml"): SOURCES / "registry.yaml",
    Path(".github/workflows/pages.yml"): SOURCES / "pages.yml",
    GITIGNORE: SOURCES / "gitignore.txt",
}
LISTED = 10


def scaffold(folder: Path) -> tuple[Path, ...]:
    """Write a new project into a folder, which may be there, with other files in it.

    A .gitignore that is there stays as it is and is left out of the answer.

    Args:
        folder: The project's folder.

    Returns:
        What was written, relative to the folder.

    Raises:
        OptionError: A file is in the way; nothing was written.
    """
    sources = dict(_sources())
    in_the_way = sorted(path for path in sources if os.path.lexists(folder / path) and path != GITIGNORE)
    in_the_way += [
        path for path in _parents(sources) if (folder / path).exists() and not (folder / path).is_dir()
    ]
    if in_the_way or (folder.exists() and not folder.is_dir()):
        raise OptionError(_refusal(folder, in_the_way))
    wanted = {path: source for path, source in sources.items() if not os.path.lexists(folder / path)}
    for path, source in wanted.items():
        if source.parent == SOURCES:
            write_bytes(folder / path, source.read_bytes().replace(b"@VERSION@", __version__.encode()))
        else:
            with replacing(folder / path) as beside:
                shutil.copyfile(source, beside)
    return tuple(wanted)


def _sources() -> Iterator[tuple[Path, Path]]:
    yield from TEXTS.items()
    templates = default_templates_dir()
    for file in sorted(templates.rglob("*")):
        inside = file.relative_to(templates)
        if file.is_file() and not any(part.startswith((".", "__")) for part in inside.parts):
            yield Path("templates") / inside, file


def _parents(paths: dict[Path, Path]) -> list[Path]:
    return sorted({parent for path in paths for parent in path.parents if parent != Path()})


def _refusal(folder: Path, in_the_way: list[Path]) -> str:
    if not in_the_way:
        return f"{folder}: that is a file; choose a folder's name"
    names = [f"  {path}" for path in in_the_way[:LISTED]]
    if len(in_the_way) > LISTED:
        names.append(f"  and {len(in_the_way) - LISTED} more")
    way_out = "choose another folder, or move these away; metagan init never overwrites"
    return "\n".join([f"{folder}: already there, so nothing was written:", *names, f"  fix: {way_out}"])
