"""Publishes a site to a folder, or to any storage that fsspec supports: s3://, gs://, az://, sftp:// ...

The file MANIFEST beside the site lists the published files, which may be replaced and removed. All other files
in the target belong to somebody else and are kept. The list is written before the first file is sent, so that
after an interrupted publish the next one still knows its own files.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from metagan.errors import PublishError
from metagan.files import replacing, sha256_of_file, write_bytes
from metagan.site.publish.plan import (
    LISTED,
    PublishPlan,
    SiteFile,
    make_plan,
    sending_stage,
    site_files,
    total_bytes,
)
from metagan.site.routes import content_type
from metagan.storage import protocol_of, storage_errors

MANIFEST = ".metagan-published.json"
MANIFEST_VERSION = 1
BATCH = 64

Sent = Callable[[int, int], None]


def publish_to_storage(
    folder: Path, target: str, *, dry_run: bool, overwrite: bool, sent: Sent
) -> PublishPlan:
    """Send changed files to a folder or a storage, and remove files that only an earlier publish had.

    Args:
        folder: The built site.
        target: A folder's path, or an address with "://".
        dry_run: Print what would be done, without doing it.
        overwrite: Replace files of the same names that don't come from an earlier publish.
        sent: Called after every few files with the bytes sent so far and in total.

    Raises:
        PublishError: If the target can't be reached or written to, or other files have the same names.
    """
    files = site_files(folder)
    with storage_errors(target, PublishError):
        place = open_storage(target)
        if place.is_local and Path(place.root).resolve().is_relative_to(folder.resolve()):
            raise PublishError(
                "this is inside the built site", where=target, fix=f"choose a folder outside {folder}"
            )
        hashes = {file.path: sha256_of_file(file.file) for file in files}
        owned, sizes = place.read_manifest(), place.sizes()
        foreign = sorted(file.path for file in files if file.path in sizes and file.path not in owned)
        if foreign and not overwrite:
            raise _in_the_way(target, foreign)
        there = {
            file.path: owned.get(file.path) == hashes[file.path] and sizes[file.path] == file.size_bytes
            for file in files
            if file.path in sizes
        }
        removed = (path for path in owned if path in sizes and path not in hashes)
        plan = make_plan(target, files, there, removed)
        if not dry_run and not plan.is_empty:
            _carry_out(plan, place, owned, hashes, sent)
    return plan


def _carry_out(
    plan: PublishPlan, place: Storage, owned: Mapping[str, str | None], hashes: Mapping[str, str], sent: Sent
) -> None:
    being_sent = dict.fromkeys(file.path for file in plan.uploads)
    place.write_manifest({**owned, **being_sent})
    done = 0
    for _, stage in groupby(plan.uploads, key=sending_stage):
        waiting = list(stage)
        for start in range(0, len(waiting), BATCH):
            batch = waiting[start : start + BATCH]
            place.put(batch)
            done += total_bytes(batch)
            sent(done, total_bytes(plan.uploads))
    place.remove(plan.removed)
    place.write_manifest(hashes)


@dataclass(frozen=True)
class Storage:
    """A folder in one of fsspec's file systems.

    Args:
        target: The target as the user wrote it.
        filesystem: The fsspec file system.
        root: The folder's path in that file system, without a closing slash.
    """

    target: str
    filesystem: Any
    root: str

    @property
    def is_local(self) -> bool:
        """Whether it is a folder on this machine."""
        return isinstance(self.filesystem, LocalFileSystem)

    def sizes(self) -> dict[str, int | None]:
        """Return every file below it, with its size if the storage reports it."""
        found = self.filesystem.find(self.root, detail=True)
        return {path.removeprefix(f"{self.root}/"): about.get("size") for path, about in found.items()}

    def read_manifest(self) -> dict[str, str | None]:
        """Read the list of published files: path to SHA-256, or None if sending may have been interrupted.

        Raises:
            PublishError: If the list is damaged.
        """
        try:
            content = self.filesystem.cat_file(f"{self.root}/{MANIFEST}")
        except FileNotFoundError:
            return {}
        try:
            return _checked(json.loads(content))
        except ValueError as error:
            raise PublishError(
                f"{self.target}/{MANIFEST}: not a list of metagan's files: {error}",
                fix="delete it, and use --force if the site's files there may be replaced",
            ) from error

    def write_manifest(self, files: Mapping[str, str | None]) -> None:
        """Write the list of published files."""
        content = json.dumps({"version": MANIFEST_VERSION, "files": dict(sorted(files.items()))}, indent=0)
        if self.is_local:
            write_bytes(Path(self.root, MANIFEST), content.encode())
        else:
            self.filesystem.pipe_file(f"{self.root}/{MANIFEST}", content.encode())

    def put(self, files: list[SiteFile]) -> None:
        """Send files, several at once if the storage supports it."""
        if self.is_local:
            for file in files:
                with replacing(Path(self.root, file.path)) as beside:
                    shutil.copyfile(file.file, beside)
            return
        by_kind = sorted(files, key=lambda file: content_type(file.path))
        for kind, group in groupby(by_kind, key=lambda file: content_type(file.path)):
            alike = list(group)
            sources, targets = (
                [str(file.file) for file in alike],
                [f"{self.root}/{file.path}" for file in alike],
            )
            self.filesystem.put(sources, targets, **self._typed(kind))

    def remove(self, paths: tuple[str, ...]) -> None:
        """Remove files, and on this machine also folders that become empty."""
        for path in paths:
            if not self.is_local:
                self.filesystem.rm_file(
                    f"{self.root}/{path}"
                )  # rm() would interpret * and [ in a name as a pattern
                continue
            file = Path(self.root, path)
            file.unlink(missing_ok=True)
            for folder in file.relative_to(self.root).parents[:-1]:
                with contextlib.suppress(OSError):
                    Path(self.root, folder).rmdir()

    def _typed(self, kind: str) -> dict[str, Any]:
        """Return this storage's options for a file's content type; others derive it from the name or have none."""
        names = self.filesystem.protocol
        protocols = {names} if isinstance(names, str) else set(names)
        if "s3" in protocols:
            return {"ContentType": kind}
        if "gs" in protocols:
            return {"content_type": kind}
        return {"content_settings": {"content_type": kind}} if "az" in protocols else {}


def open_storage(target: str) -> Storage:
    """Open the file system of an address.

    Raises:
        PublishError: If this kind of address is unknown, or the package for it isn't installed.
    """
    if "://" not in target:
        return Storage(target, LocalFileSystem(), str(Path(target).absolute()))
    protocol = protocol_of(target)
    if protocol not in fsspec.available_protocols():
        raise PublishError(
            f"fsspec does not support {protocol}:// addresses",
            where=target,
            fix="use s3://, gs://, az://, sftp:// and more, or a folder's path",
        )
    with storage_errors(target, PublishError):
        filesystem, root = fsspec.core.url_to_fs(target)
    filesystem.invalidate_cache()
    return Storage(target.rstrip("/"), filesystem, str(root).rstrip("/"))


def _in_the_way(target: str, foreign: list[str]) -> PublishError:
    more = [f"  and {len(foreign) - LISTED} more"] if len(foreign) > LISTED else []
    listed = [f"  {path}" for path in foreign[:LISTED]]
    what = "\n".join(["these files exist already, and metagan did not publish them:", *listed, *more])
    return PublishError(what, where=target, fix="choose an empty place, or use --force to replace them")


def _checked(manifest: Any) -> dict[str, str | None]:
    """Validate the list of published files: others may have changed it, and its files may be removed.

    Raises:
        ValueError: If it is not such a list, or names paths outside the site.
    """
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or manifest.get("version") != MANIFEST_VERSION:
        raise ValueError(f"want a mapping with version {MANIFEST_VERSION} and files")
    for path in files:
        if any(part in {"", ".", ".."} or "\\" in part for part in path.split("/")):
            raise ValueError(f"{path!r} lies outside the site")
    return files
