"""Keeps a collection's archives in a folder or on any storage that fsspec supports.

    {slug}/{slug}_archive.zip            images/
    {slug}/{slug}_metadata_archive.zip   collection.json, items.jsonl, sales.jsonl
    {slug}/{slug}_generator.zip          a generator that learnt from it

Equal collections give equal bytes. An archive is written atomically: a folder gets it by a rename,
object storage by one upload. Zips are untrusted: they are read member by member, and names that lead out of the
collection are refused.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import fsspec
from fsspec.implementations.local import LocalFileSystem

from metagan.collection.model import Item
from metagan.collection.pictures import MAX_BYTES
from metagan.collection.store import (
    FACTS_NAME,
    IMAGES_NAME,
    ITEMS_NAME,
    SALES_NAME,
    Collection,
    open_collection,
    sha256_of,
    writing,
)
from metagan.errors import CollectionError
from metagan.files import replacing, require_regular, why_no_file, write_bytes
from metagan.storage import storage_errors

_TABLES: Final = (FACTS_NAME, ITEMS_NAME, SALES_NAME)
_DAMAGED: Final = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError)
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_READABLE: Final = 0o644 << 16
_MAX_TABLE_BYTES: Final = 4 << 30


def write_archive(collection: Path, slug: str, url: str, generator: Path | None = None) -> list[str]:
    """Write a collection's archives, replacing those of the same name.

    Args:
        collection: Its folder, complete.
        slug: The archive's name.
        url: A folder, or an fsspec URL such as s3://bucket/nft-assets.
        generator: A weights file to archive with it.

    Returns:
        The addresses that were written.

    Raises:
        CollectionError: If the collection is incomplete, the name can't be used, or the storage can't be written to.
    """
    known = open_collection(collection)
    pictures = dict(sorted((item.file, item.sha256) for item in known.items if item.file))
    tables = [name for name in _TABLES if (collection / name).is_file()]
    wanted: list[tuple[str, Path, Mapping[str, str | None]]] = [
        ("archive", collection, pictures),
        ("metadata_archive", collection, dict.fromkeys(tables)),
    ]
    if generator is not None:
        if not generator.is_file():
            raise CollectionError(
                why_no_file(generator), where=generator, fix="give a weights file as --generator"
            )
        wanted.append(("generator", generator.parent, {generator.name: None}))
    written = []
    for kind, folder, names in wanted:
        with tempfile.TemporaryDirectory(prefix="metagan-archive-") as beside:
            made = Path(beside) / "archive.zip"
            _zip(made, folder, names)
            with storage_errors(url, CollectionError):
                written.append(_put(made, url, f"{_checked(slug)}/{slug}_{kind}.zip"))
    return written


def read_archive(slug: str, url: str, out: Path) -> Collection | None:
    """Restore the collection that is archived under a name; return None if no archive has that name.

    Args:
        slug: The archive's name.
        url: Folder or address, as for `write_archive`.
        out: An empty or new folder, or one with the same collection.

    Raises:
        CollectionError: If the archive is damaged, or the storage can't be read.
    """
    with tempfile.TemporaryDirectory(prefix="metagan-archive-") as beside:
        tables, images = Path(beside) / "tables.zip", Path(beside) / "images.zip"
        with storage_errors(url, CollectionError):
            if not _get(url, f"{_checked(slug)}/{slug}_metadata_archive.zip", tables):
                return None
            if not _get(url, f"{slug}/{slug}_archive.zip", images):
                raise CollectionError(
                    f"{slug}_metadata_archive.zip is there, and {slug}_archive.zip is not",
                    where=url,
                    fix="archive the collection again",
                )
        try:
            _restore(tables, images, Path(beside) / "tables", out)
        except _DAMAGED as error:
            raise CollectionError(
                f"an archive of {slug} is damaged ({error})", where=url, fix="archive the collection again"
            ) from error
    return open_collection(out)


def _restore(tables: Path, images: Path, beside: Path, out: Path) -> None:
    beside.mkdir()
    with zipfile.ZipFile(tables) as archive:
        _refuse_repeated(archive)
        for name in archive.namelist():
            if name not in _TABLES:
                raise CollectionError(
                    f"{name[:80]!r} in an archive: want {', '.join(_TABLES)}",
                    fix="archive the collection again",
                )
            if archive.getinfo(name).file_size > _MAX_TABLE_BYTES:
                what = f"want at most {_MAX_TABLE_BYTES:,} bytes, got {archive.getinfo(name).file_size:,}"
                raise CollectionError(what, where=name, fix="archive the collection again")
            with archive.open(name) as member, (beside / name).open("wb") as file:
                shutil.copyfileobj(member, file)
    known = open_collection(beside)  # which refuses files that lie elsewhere
    with writing(out, known.facts.model_copy(update={"complete": False})) as writer:
        with zipfile.ZipFile(images) as archive:
            _refuse_repeated(archive)
            for item in known.items:
                _restore_picture(archive, item, out)
        writer.finish(known.items, known.sales)
        write_bytes(out / FACTS_NAME, (beside / FACTS_NAME).read_bytes())


def _refuse_repeated(archive: zipfile.ZipFile) -> None:
    repeated = [name for name, count in Counter(archive.namelist()).items() if count > 1]
    if repeated:
        raise CollectionError(f"{repeated[0][:80]!r} twice in an archive", fix="archive the collection again")


def _restore_picture(archive: zipfile.ZipFile, item: Item, out: Path) -> None:
    if item.file is None:
        return
    try:
        with archive.open(item.file) as member:
            data = member.read(MAX_BYTES * 2)
    except KeyError as error:
        raise CollectionError(
            "not in the archive of pictures", where=item.file, fix="archive the collection again"
        ) from error
    if sha256_of(data) != item.sha256:
        raise CollectionError(
            "another picture than items.jsonl says", where=item.file, fix="archive it again"
        )
    (out / IMAGES_NAME).mkdir(exist_ok=True)
    write_bytes(out / item.file, data)


def _zip(path: Path, folder: Path, files: Mapping[str, str | None]) -> None:
    """Zip files by name; the SHA-256 of pictures has to be the given one, as for a file that a link leads to."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, digest in files.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system, info.external_attr = 3, _READABLE
            # Pictures are compressed already; tables shrink to a tenth.
            is_picture = name.startswith(f"{IMAGES_NAME}/")
            info.compress_type = zipfile.ZIP_STORED if is_picture else zipfile.ZIP_DEFLATED
            require_regular(folder / name)
            with (folder / name).open("rb") as source, archive.open(info, "w", force_zip64=True) as member:
                if is_picture and hashlib.file_digest(source, "sha256").hexdigest() != digest:
                    raise CollectionError(
                        f"another file than {ITEMS_NAME} says",
                        where=folder / name,
                        fix="fetch the collection again",
                    )
                source.seek(0)
                shutil.copyfileobj(source, member)


def _place(url: str) -> tuple[Any, str]:
    filesystem, root = fsspec.core.url_to_fs(url)
    return filesystem, str(root).rstrip("/")


def _put(made: Path, url: str, name: str) -> str:
    filesystem, root = _place(url)
    if isinstance(filesystem, LocalFileSystem):
        with replacing(Path(root) / name) as beside:
            shutil.copyfile(made, beside)
    else:
        filesystem.put_file(str(made), f"{root}/{name}")
    return f"{url.rstrip('/')}/{name}"


def _get(url: str, name: str, to: Path) -> bool:
    filesystem, root = _place(url)
    try:
        filesystem.get_file(f"{root}/{name}", str(to))
    except FileNotFoundError:
        return False
    return True


def _checked(slug: str) -> str:
    if PurePosixPath(slug).name != slug or slug in ("", ".", "..") or os.sep in slug or "\\" in slug:
        raise CollectionError(f"{slug!r}: no name for an archive", fix="give a name without slashes")
    return slug
