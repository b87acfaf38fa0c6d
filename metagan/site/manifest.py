"""The manifest of a built site: the list of the files that a build wrote, with their sizes and hashes.

It is a hidden file in the site folder, so that it is replaced together with the site. Without it, nothing tells the
build's files from other files there, and neither `build` nor `publish` takes the folder for a site.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from metagan.files import read_bytes, sha256_of_file, write_bytes

MANIFEST = ".metagan-manifest.json"


@dataclass(frozen=True)
class Manifest:
    """The list of a built site's files.

    Args:
        fingerprint: Hash of everything it was made from.
        files: Size in bytes by path relative to the site.
        sha256: SHA-256 by path; empty if an earlier version built it.
        warnings: Warnings for the site's author from the build.
        day: The day that its pages print, "2026-11-29"; empty if an earlier version built it.
    """

    fingerprint: str
    files: dict[str, int]
    warnings: list[str]
    day: str = ""
    sha256: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, folder: Path, fingerprint: str, files: dict[str, int], warnings: list[str], day: str
    ) -> Manifest:
        """Describe the files of a folder, which are read for their hashes."""
        hashes = {name: sha256_of_file(folder / name) for name in files}
        return cls(fingerprint, files, warnings, day, hashes)

    def is_whole(self, site: Path) -> bool:
        """Return whether every file exists as it was written."""
        return not any(self.damage(site))

    def damage(self, site: Path) -> Iterator[tuple[str, str]]:
        """Yield the files that aren't as they were written, and what is wrong with each: "missing" for instance."""
        for name, size_bytes in self.files.items():
            try:
                found = (site / name).stat()
            except OSError:
                yield name, "missing"
                continue
            if not (site / name).is_file():
                yield name, "not a file"
            elif found.st_size != size_bytes:
                yield name, f"{found.st_size:,} bytes instead of {size_bytes:,}"
            elif name in self.sha256 and sha256_of_file(site / name) != self.sha256[name]:
                yield name, "other bytes of the same size"

    def write(self, folder: Path) -> None:
        """Write the manifest to a site folder."""
        content = json.dumps(dataclasses.asdict(self), indent=0, sort_keys=True)
        write_bytes(folder / MANIFEST, content.encode())


def read_manifest(site: Path) -> Manifest | None:
    """Read the manifest of a site folder; None if it is missing or damaged."""
    try:
        raw = json.loads(read_bytes(site / MANIFEST))
        files = {str(name): int(size) for name, size in raw["files"].items()}
        hashes = {str(name): str(digest) for name, digest in raw.get("sha256", {}).items()}
        warnings = [str(line) for line in raw["warnings"]]
        return Manifest(str(raw["fingerprint"]), files, warnings, str(raw.get("day", "")), hashes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
