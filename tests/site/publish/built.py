"""Folders of small files as a build leaves them."""

from pathlib import Path

from metagan.site.manifest import Manifest


def built(folder: Path) -> Path:
    """Write the manifest of a folder, as a build of exactly its visible files would."""
    files = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    Manifest.of(folder, "0" * 24, files, [], "").write(folder)
    return folder
