"""The work folder of a build: what it remembers, and the lock against other builds.

The site folder contains MANIFEST, its fingerprint and files, so that the record is replaced together with the site.
Everything else is in a work folder beside it, `.metagan/NAME/`. It can be deleted at any time; the next build then
makes all pictures again:

    pictures/KEY/SEED.EXT   finished pictures, by a hash of what they depend on
    cards/KEY/SEED.card.jpg cards for link previews, likewise
    models/KEY.*            generators for browsers, likewise
    reals/                  originals of the game "which one exists?" (reals.py)
    shards/RUN/NAME.bin     for browsers: what of a shard's zip is which picture (sharded.py)
    collections/, traits/   small pictures of collections' items, and predicted traits (collections.py)
    facts/SHA256.json       facts about a weights file, so that a rebuild needn't open it
    hashes.json             SHA-256 of local weights by size and time
    begun.json              fingerprint and day of the running build, so that a resumed one prints the same day
    next/                   the site being assembled
    lock                    held by the running build
"""

from __future__ import annotations

import ctypes
import datetime as dt
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from metagan.errors import BuildError, BuildLockedError
from metagan.fetch.weights_file import files_of, sha256_of
from metagan.files import sweep_folder, write_bytes
from metagan.site.manifest import MANIFEST, Manifest, read_manifest
from metagan.values import source_date

# --------------------------------------------------------------------------------------------
# Replaces a folder by a finished one, atomically where the system supports it.

_BEGUN = "begun.json"
_AT_FDCWD = -100
_EXCHANGE = 2  # RENAME_EXCHANGE on Linux, RENAME_SWAP on macOS


def swap_in(new: Path, site: Path) -> None:
    """Replace the folder `site` by `new`, and remove the former one afterwards.

    On Linux and macOS, `site` is never missing or a mixture of both. Elsewhere, and on file systems that can't
    exchange folders, this takes two renames; `recover` repairs an interruption between them.
    """
    if not site.exists():
        site.parent.mkdir(parents=True, exist_ok=True)
        new.rename(site)
        return
    if _exchange(new, site):
        shutil.rmtree(new)
        return
    old = _old_name(new)
    shutil.rmtree(old, ignore_errors=True)
    site.rename(old)
    new.rename(site)
    shutil.rmtree(old)


def recover(new: Path, site: Path) -> None:
    """Restore the former folder if an interrupted `swap_in` left none; `new` is the same path as there."""
    old = _old_name(new)
    if old.exists() and not site.exists():
        old.rename(site)
    shutil.rmtree(old, ignore_errors=True)


def _old_name(new: Path) -> Path:
    return new.with_name(f"{new.name}.old")


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders' names atomically; returns False if that isn't supported."""
    if sys.platform == "win32":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "renameat2"):
        status = libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE)
        return bool(status == 0)
    if hasattr(libc, "renamex_np"):
        return bool(libc.renamex_np(os.fsencode(one), os.fsencode(other), _EXCHANGE) == 0)
    return False


@dataclass(frozen=True)
class BuildDir:
    """The site folder and the work folder beside it."""

    site: Path

    @property
    def folder(self) -> Path:
        """The work folder."""
        return self.site.parent / ".metagan" / self.site.name

    @property
    def staging(self) -> Path:
        """Where the next site is assembled, on the same file system as the site."""
        return self.folder / "next"

    def pictures(self, key: str) -> Path:
        """Return the folder of the finished pictures of one key."""
        return self.folder / "pictures" / key

    def cards(self, key: str) -> Path:
        """Return the folder of the cards of one key."""
        return self.folder / "cards" / key

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock out other builds, and repair what an interrupted one left.

        Raises:
            BuildLockedError: If another build is running in this folder.
            BuildError: If the folder can't be written to.
        """
        if self.site.is_mount():
            raise BuildError(
                "a volume is mounted there, which can't be replaced by a finished site",
                where=self.site,
                fix=f"choose a folder in it: --out {self.site / 'site'}",
            )
        with ExitStack() as stack:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(FileLock(self.folder / "lock", timeout=0))
                recover(self.staging, self.site)
                for place in (self.folder, *(self.folder / kind for kind in ("facts", "models", "traits"))):
                    sweep_folder(place)
            except Timeout as error:
                raise BuildLockedError(
                    "another build is running there",
                    where=self.site,
                    fix="wait until it ends, or choose another folder with --out",
                ) from error
            except PermissionError as error:
                raise BuildError(
                    "no permission to write", where=error.filename, fix="choose another folder with --out"
                ) from error
            yield

    # --------------------------------------------------------------------------------------------

    def manifest(self) -> Manifest | None:
        """Read the manifest of the existing site; None for an empty or missing folder.

        Raises:
            BuildError: If the folder has files that metagan didn't build.
        """
        if not self.site.exists():
            return None
        if not self.site.is_dir():
            raise BuildError("this is a file", where=self.site, fix="choose a folder with --out")
        manifest = read_manifest(self.site)
        if manifest or not any(self.site.iterdir()):
            return manifest
        raise BuildError(
            f"it contains files that metagan did not build ({MANIFEST} is missing or damaged); nothing was changed",
            where=self.site,
            fix="choose another folder with --out, or empty this one",
        )

    def day(self, fingerprint: str) -> dt.date:
        """Return the day to print on pages: today, SOURCE_DATE_EPOCH's, or that of the build being resumed."""
        if date := source_date():
            return date.date()
        begun = self.folder / _BEGUN
        if read_json(begun).get("fingerprint") == fingerprint:
            return dt.date.fromisoformat(read_json(begun)["day"])
        today = dt.datetime.now(dt.UTC).date()
        write_json(begun, {"fingerprint": fingerprint, "day": today.isoformat()})
        return today

    def forget_day(self) -> None:
        """Forget the day of a build that is finished, so that the next one prints its own."""
        (self.folder / _BEGUN).unlink(missing_ok=True)

    def sha256(self, path: Path) -> str:
        """Return a weights file's SHA-256; the file is read again only if its size or time has changed."""
        known = read_json(self.folder / "hashes.json")
        states = [file.stat() for file in files_of(path)]
        stamp = [
            sum(state.st_size for state in states),
            max((state.st_mtime_ns for state in states), default=0),
        ]
        entry = known.get(str(path))
        if isinstance(entry, list) and entry[:2] == stamp:
            return str(entry[2])
        digest = sha256_of(path)
        write_json(self.folder / "hashes.json", known | {str(path): [*stamp, digest]})
        return digest


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty if the file is missing or damaged, because its content can be made again."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_json(path: Path, value: object) -> None:
    """Write a JSON file atomically."""
    write_bytes(path, json.dumps(value, indent=0, sort_keys=True).encode())


def digest_of(*parts: object) -> str:
    """Hash a combination of values that have stable reprs."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def digest_of_folder(folder: Path, pattern: str = "**/*") -> str:
    """Hash the names and contents of a folder's files."""
    total = hashlib.sha256()
    for path in sorted(folder.glob(pattern)):
        if path.is_file() and "__pycache__" not in path.parts:
            total.update(os.fsencode(path.relative_to(folder).as_posix()) + b"\0")
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:24]
