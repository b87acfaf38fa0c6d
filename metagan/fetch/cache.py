"""The user's cache of downloaded weights, keyed by their SHA-256.

    weights/SHA256/NAME          complete files; their hash is checked after the download and at each use
    partial/SHA256.part          the part of a file that has been downloaded
    partial/SHA256.json          its URL and version, to resume the download
    partial/SHA256.lock          a lock that the downloading process holds
    mismatched/SHA256-NAME       files with another hash than the registry states, under their own hash
    inception/                   Inception's features of real pictures, for FID and KID; may be deleted at any time

METAGAN_CACHE sets its folder; by default it is in the system's cache folder of the user.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from metagan.errors import HashMismatchError
from metagan.fetch.weights_file import sha256_of


def cache_folder() -> Path:
    """Return the folder of downloaded weights, which may not exist yet."""
    chosen = os.environ.get("METAGAN_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("metagan", False)


def verify(path: Path, sha256: str, source: str) -> Path:
    """Check a file's SHA-256 and return its path.

    Raises:
        HashMismatchError: If it differs. The message has both hashes. The file is not changed.
    """
    actual = sha256_of(path)
    if actual != sha256:
        raise mismatch(source, sha256, actual, path)
    return path


def mismatch(source: str, sha256: str, actual: str, kept: Path) -> HashMismatchError:
    """Create the error for a file with another hash than expected."""
    return HashMismatchError(
        f"want the file with SHA-256 {sha256}, got one with {actual}",
        where=source,
        fix=(
            f"ask the publisher which hash is right. The file is kept as {kept}. If it is the right "
            "one, put its hash into the registry"
        ),
    )


@dataclass(frozen=True)
class Slot:
    """The place of one file in the cache.

    Args:
        folder: The folder of the cache.
        sha256: The file's SHA-256.
        name: The file's name in the cache.
    """

    folder: Path
    sha256: str
    name: str

    @property
    def part(self) -> Path:
        """The file that holds the downloaded part."""
        return self.folder / "partial" / f"{self.sha256}.part"

    @property
    def lock(self) -> Path:
        """The lock that is held while the file is downloaded."""
        return self.folder / "partial" / f"{self.sha256}.lock"

    @property
    def _note(self) -> Path:
        return self.folder / "partial" / f"{self.sha256}.json"

    @property
    def _whole(self) -> Path:
        return self.folder / "weights" / self.sha256

    def find(self, source: str) -> Path | None:
        """Return the complete, verified file, or None if it isn't in the cache.

        Raises:
            HashMismatchError: If the cached file is damaged. It has been moved aside.
        """
        files = sorted(self._whole.iterdir()) if self._whole.is_dir() else []
        for file in files:
            actual = sha256_of(file)
            if actual == self.sha256:
                return file
            raise mismatch(source, self.sha256, actual, self.set_aside(file, actual))
        return None

    def done_bytes(self) -> int:
        """Return the number of bytes downloaded so far."""
        return self.part.stat().st_size if self.part.exists() else 0

    def start_over(self) -> None:
        """Delete the downloaded part."""
        self.part.parent.mkdir(parents=True, exist_ok=True)
        self.part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def note_validator(self, url: str, validator: str | None) -> None:
        """Store the version of the file that is being downloaded: its ETag or date, if the host sent one."""
        beside = self._note.with_suffix(".json.new")
        beside.write_text(json.dumps({"url": url, "validator": validator}))
        beside.replace(self._note)

    def validator(self, url: str) -> str | None:
        """Return the stored version of the file that is being downloaded."""
        with suppress(OSError, ValueError):
            note = json.loads(self._note.read_text())
            if isinstance(note, dict) and note.get("url") == url and isinstance(note.get("validator"), str):
                return str(note["validator"])
        return None

    def keep(self) -> Path:
        """Move the downloaded and verified file to its final place."""
        self._whole.mkdir(parents=True, exist_ok=True)
        target = self._whole / self.name
        self.part.replace(target)
        self._note.unlink(missing_ok=True)
        return target

    def set_aside(self, file: Path, actual: str) -> Path:
        """Move a file with another hash than expected to the folder mismatched/, where it is kept."""
        target = self.folder / "mismatched" / f"{actual}-{self.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process has just moved it
            file.replace(target)
        return target


def safe_name(name: str) -> str:
    """Make a file name from the end of a URL that is valid on any system."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-")
    return cleaned[-100:].lstrip("._-") or "weights"
