"""Publishes a site to a folder, or to any storage that fsspec supports: s3://, gs://, az://, sftp:// ...

The record beside the site lists the published files, which may be replaced and removed. All other files
in the target belong to somebody else and are kept. The list is written before the first file is sent, so that
after an interrupted publish the next one still knows its own files.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from metagan.errors import Problem, PublishError
from metagan.files import real_path, replacing, sha256_of_file, write_bytes
from metagan.site.publish.plan import (
    PublishPlan,
    SiteFile,
    listed,
    make_plan,
    sending_stage,
    site_files,
    total_bytes,
)
from metagan.site.publish.record import RECORD, decode_record, encode_record
from metagan.site.routes import content_type
from metagan.storage import protocol_of, storage_errors

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
    files = site_files(folder, with_others=overwrite)
    with storage_errors(target, PublishError):
        place = open_storage(target)
        if place.is_local and real_path(Path(place.root)).is_relative_to(real_path(folder)):
            raise PublishError(
                "this is inside the built site", where=target, fix=f"choose a folder outside {folder}"
            )
        hashes = {file.path: file.sha256 or sha256_of_file(file.file) for file in files}
        there = place.contents()
        owned = place.read_record()
        clashes = _clashes(files, there, owned.keys())
        clashes.refuse(target, overwrite=overwrite)
        unchanged = {
            file.path: owned.get(file.path) == hashes[file.path] and there.sizes[file.path] == file.size_bytes
            for file in files
            if file.path in there.sizes
        }
        removed = {path for path in owned if path in there.sizes and path not in hashes}
        plan = make_plan(target, files, unchanged, removed | clashes.first)
        if not dry_run and not plan.is_empty:
            _carry_out(plan, clashes, place, owned, hashes, sent)
    return plan


def _carry_out(
    plan: PublishPlan,
    clashes: _Clashes,
    place: StorageTarget,
    owned: Mapping[str, str | None],
    hashes: Mapping[str, str],
    sent: Sent,
) -> None:
    being_sent = dict.fromkeys(file.path for file in plan.uploads)
    place.write_record({**owned, **being_sent})
    place.remove(sorted(clashes.first))
    place.remove_empty(clashes.folders)
    done = 0
    for _, stage in groupby(plan.uploads, key=sending_stage):
        waiting = list(stage)
        for start in range(0, len(waiting), BATCH):
            batch = waiting[start : start + BATCH]
            place.put(batch)
            done += total_bytes(batch)
            sent(done, total_bytes(plan.uploads))
    place.remove([path for path in plan.removed if path not in clashes.first])
    place.write_record(hashes)


@dataclass(frozen=True)
class _Contents:
    """What a target has: sizes of its files, None where the storage doesn't tell, and its folders."""

    sizes: Mapping[str, int | None]
    folders: frozenset[str]


@dataclass(frozen=True)
class _Clashes:
    """What stands where files of the site belong.

    Args:
        foreign: Files of others with the names of the site's files or folders, as messages name them.
        blocked: Folders with the names of the site's files, whose content isn't metagan's, likewise.
        first: Files to remove before anything is sent: they stand where the site has a folder, or in `folders`.
        folders: Folders of metagan's files only, where the site has a file.
    """

    foreign: tuple[str, ...]
    blocked: tuple[str, ...]
    first: frozenset[str]
    folders: tuple[str, ...]

    def refuse(self, target: str, *, overwrite: bool) -> None:
        """Refuse to send a site into a place that has something else of its names.

        Args:
            target: The target, for messages.
            overwrite: Whether files of others may be replaced; folders never are.

        Raises:
            PublishError: If there is such a thing.
        """
        problems = []
        if self.blocked:
            what = listed("these folders have the names of the site's files:", self.blocked)
            problems.append(Problem(target, what, "choose an empty place, or move them away"))
        if self.foreign and not overwrite:
            what = listed("these files exist already, and metagan did not publish them:", self.foreign)
            problems.append(Problem(target, what, "choose an empty place, or use --force to replace them"))
        if problems:
            raise PublishError.of(problems)


def _clashes(files: tuple[SiteFile, ...], there: _Contents, owned: Collection[str]) -> _Clashes:
    paths = {file.path for file in files}
    parents = {str(parent) for path in paths for parent in PurePosixPath(path).parents[:-1]}
    foreign = sorted(path for path in paths & there.sizes.keys() if path not in owned)
    in_folders_place = parents & there.sizes.keys()
    foreign += [f"{path} (the site has a folder there)" for path in sorted(in_folders_place - set(owned))]
    blocked, emptied, first = [], [], set(in_folders_place)
    for folder in sorted(paths & there.folders):
        inside = {path for path in there.sizes if path.startswith(f"{folder}/")}
        if inside and inside <= set(owned):
            emptied.append(folder)
            first |= inside
        else:
            blocked.append(folder)
    return _Clashes(tuple(foreign), tuple(blocked), frozenset(first), tuple(emptied))


@dataclass(frozen=True)
class StorageTarget:
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

    def contents(self) -> _Contents:
        """Return every file below it, with its size if the storage reports it, and every folder.

        Raises:
            PublishError: If it is a file, or lies in one.
        """
        if self.is_local:
            for folder in (Path(self.root), *Path(self.root).parents):
                if folder.exists() and not folder.is_dir():
                    raise PublishError("this is a file", where=folder, fix="choose a folder with --to")
        found = self.filesystem.find(self.root, withdirs=True, detail=True)
        if found.get(self.root, {}).get("type") == "file":
            raise PublishError("this is a file", where=self.target, fix="choose a folder with --to")
        below = {
            path.removeprefix(f"{self.root}/"): about
            for path, about in found.items()
            if path.startswith(f"{self.root}/")
        }
        folders = frozenset(path for path, about in below.items() if about["type"] == "directory")
        return _Contents(
            {path: about.get("size") for path, about in below.items() if path not in folders}, folders
        )

    def read_record(self) -> dict[str, str | None]:
        """Read the record of published files: path to SHA-256, or None if sending may have been interrupted.

        Raises:
            PublishError: If the record is damaged.
        """
        try:
            content = self.filesystem.cat_file(f"{self.root}/{RECORD}")
        except FileNotFoundError:
            return {}
        try:
            return decode_record(content)
        except ValueError as error:
            raise PublishError(
                f"{self.target}/{RECORD}: not a list of metagan's files: {error}",
                fix="delete it, and use --force if the site's files there may be replaced",
            ) from error

    def write_record(self, files: Mapping[str, str | None]) -> None:
        """Write the record of published files."""
        if self.is_local:
            write_bytes(Path(self.root, RECORD), encode_record(files))
        else:
            self.filesystem.pipe_file(f"{self.root}/{RECORD}", encode_record(files))

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

    def remove(self, paths: Iterable[str]) -> None:
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

    def remove_empty(self, folders: Iterable[str]) -> None:
        """Remove folders without files, where the storage has folders of their own."""
        for folder in folders:
            inside = self.filesystem.find(f"{self.root}/{folder}", withdirs=True)
            for path in sorted({*inside, f"{self.root}/{folder}"}, reverse=True):
                with contextlib.suppress(OSError, NotImplementedError):
                    self.filesystem.rmdir(path)

    def _typed(self, kind: str) -> dict[str, Any]:
        """Return this storage's options for a file's content type; others derive it from the name or have none."""
        names = self.filesystem.protocol
        protocols = {names} if isinstance(names, str) else set(names)
        if "s3" in protocols:
            return {"ContentType": kind}
        if "gs" in protocols:
            return {"content_type": kind}
        return {"content_settings": {"content_type": kind}} if "az" in protocols else {}


def open_storage(target: str) -> StorageTarget:
    """Open the file system of an address.

    Raises:
        PublishError: If this kind of address is unknown, or the package for it isn't installed.
    """
    if "://" not in target:
        return StorageTarget(target, LocalFileSystem(), str(Path(target).absolute()))
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
    return StorageTarget(target.rstrip("/"), filesystem, str(root).rstrip("/"))
