"""The user's cache of downloaded weights, keyed by what is in them.

    weights/SHA256/NAME          whole files; their hash has been checked, and is checked again at each use
    partial/SHA256.part          what has arrived of a file so far
    partial/SHA256.json          where from, so that a download can go on behind it
    partial/SHA256.lock          held by the process that downloads
    mismatched/SHA256-NAME       files that are not what the registry means, under the hash that they have
    compiled/                    generators compiled by `sample --compile`; may be deleted at any time
    inception/                   Inception's features of real pictures, for FID and KID; may be deleted at any time

METAGAN_CACHE moves it; otherwise it is where the system keeps a user's caches.
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
    """The folder of downloaded weights; not necessarily there yet."""
    chosen = os.environ.get("METAGAN_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("metagan", False)


def verify(path: Path, sha256: str, source: str) -> Path:
    """The path again, once its contents are proved to be the ones meant.

    Raises:
        HashMismatchError: They aren't; names both hashes. The file stays as it is.
    """
    actual = sha256_of(path)
    if actual != sha256:
        raise mismatch(source, sha256, actual, path)
    return path


def mismatch(source: str, sha256: str, actual: str, kept: Path) -> HashMismatchError:
    """The error for a file that isn't the one meant."""
    return HashMismatchError(
        f"{source}: want the file with SHA-256 {sha256}, got one with {actual}\n"
        f"  fix: ask its publisher which is right; the file is kept as {kept}, "
        "and if it is the right one, put its hash into the registry"
    )


@dataclass(frozen=True)
class Slot:
    """One file's place in the cache.

    Args:
        folder: The whole cache.
        sha256: The file's SHA-256.
        name: What to call it.
    """

    folder: Path
    sha256: str
    name: str

    @property
    def part(self) -> Path:
        """What has arrived so far."""
        return self.folder / "partial" / f"{self.sha256}.part"

    @property
    def lock(self) -> Path:
        """Held while the file is downloaded."""
        return self.folder / "partial" / f"{self.sha256}.lock"

    @property
    def _note(self) -> Path:
        return self.folder / "partial" / f"{self.sha256}.json"

    @property
    def _whole(self) -> Path:
        return self.folder / "weights" / self.sha256

    def find(self, source: str) -> Path | None:
        """The whole file, verified; None if it isn't in the cache.

        Raises:
            HashMismatchError: It was there, but damaged; it has been moved aside.
        """
        files = sorted(self._whole.iterdir()) if self._whole.is_dir() else []
        for file in files:
            actual = sha256_of(file)
            if actual == self.sha256:
                return file
            raise mismatch(source, self.sha256, actual, self.set_aside(file, actual))
        return None

    def done_bytes(self) -> int:
        """How much has arrived so far."""
        return self.part.stat().st_size if self.part.exists() else 0

    def start_over(self) -> None:
        """Forget what has arrived."""
        self.part.parent.mkdir(parents=True, exist_ok=True)
        self.part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def note_validator(self, url: str, validator: str | None) -> None:
        """Remember which version of the URL's file is arriving: its ETag or date, if its host gave one."""
        beside = self._note.with_suffix(".json.new")
        beside.write_text(json.dumps({"url": url, "validator": validator}))
        beside.replace(self._note)

    def validator(self, url: str) -> str | None:
        """Which version of the URL's file has been arriving, as noted."""
        with suppress(OSError, ValueError):
            note = json.loads(self._note.read_text())
            if isinstance(note, dict) and note.get("url") == url and isinstance(note.get("validator"), str):
                return str(note["validator"])
        return None

    def keep(self) -> Path:
        """Put the file that has arrived, and been verified, into its place."""
        self._whole.mkdir(parents=True, exist_ok=True)
        target = self._whole / self.name
        self.part.replace(target)
        self._note.unlink(missing_ok=True)
        return target

    def set_aside(self, file: Path, actual: str) -> Path:
        """Move a file that isn't the one meant to where it does no harm, and nothing is lost."""
        target = self.folder / "mismatched" / f"{actual}-{self.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process has just done the same
            file.replace(target)
        return target


def safe_name(name: str) -> str:
    """A file name made of what a URL ends with, harmless on any system."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-")
    return cleaned[-100:].lstrip("._-") or "weights"
