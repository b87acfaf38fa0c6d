"""Reads collections from the output of art engines, from plain folders of pictures, and from zips of both.

    HashLips       images/1.png  json/1.json  json/_metadata.json
    Metaplex       assets/0.png  assets/0.json  assets/collection.json
    one file       _metadata.json, a list, beside or above the pictures
    pictures       whatever can be read, without traits

Zips are not extracted: a name such as ../../x is only a key, and pictures get new names.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

from metagan.collection.attributes import clean
from metagan.collection.metadata import item_of_metadata
from metagan.collection.model import Facts, Item, SourceFacts
from metagan.collection.pictures import NoPictureError, Picture, check_picture
from metagan.collection.sources.made import Made, UniqueIds
from metagan.collection.store import now
from metagan.datasets.store import Store, UnreadableError, open_store, say_repeated
from metagan.errors import CollectionError
from metagan.files import real_path
from metagan.values import counted, text_of

_PICTURES: Final = frozenset(
    (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".svg", ".qoi", ".ppm")
)
_LISTS: Final = ("_metadata.json", "metadata.json", "nfts.json")
_COLLECTION: Final = "collection"  # Metaplex's own metadata and picture of the whole
_BARE_FOLDERS: Final = frozenset({"json", "metadata"})  # whose files may have no suffix, as on IPFS
_IDS: Final = ("edition", "tokenId", "token_id", "id", "dna")
_NUMBERS: Final = re.compile(r"([0-9]+)")
_MOST_DIGITS: Final = 1000  # Python refuses to read a number of more than 4,300


@dataclass(frozen=True)
class FolderEntry:
    """The files of one item.

    Args:
        id: The item's id.
        metadata: Its metadata, or an empty mapping.
        picture: Its picture's name in the store, or None.
        notes: Problems of the item.
    """

    id: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    picture: str | None = None
    notes: tuple[str, ...] = ()


class FolderSource:
    """A folder or zip of pictures, with or without metadata.

    Args:
        name: Name of the collection.
        path: The folder or zip.
        licence: Licence of the pictures, or None.
        svg_px: Longer side of drawn SVG pictures in pixels.
    """

    def __init__(self, name: str, path: Path, licence: str | None = None, svg_px: int = 512) -> None:
        self.name = name
        self.path = path
        self.licence = licence
        self.svg_px = svg_px
        self.store: Store = open_store(path)

    def facts(self) -> Facts:
        """Return the collection's facts, with those of Metaplex's collection.json."""
        said = next((json for name in self._names if (json := self._collection_metadata(name))), {})
        description = said.get("description")
        return Facts(
            name=text_of(self.name),
            title=clean(said["name"], 300) if said.get("name") else None,
            description=clean(description) if isinstance(description, str) else None,
            source=SourceFacts(kind="folder", reference=text_of(str(real_path(self.path)))),
            licence=self.licence,
            fetched_at=now(),
        )

    def entries(self) -> Sequence[FolderEntry]:
        """Return each item's metadata and picture, sorted by number, then by name.

        Raises:
            CollectionError: If there is neither a picture nor metadata.
        """
        pictures = [name for name in self._names if _is_picture(name)]
        found = list(self._from_single_files(pictures)) or list(self._from_list(pictures))
        used = {entry.picture for entry in found}
        alone = [name for name in pictures if name not in used and PurePosixPath(name).stem != _COLLECTION]
        if not found and not alone:
            raise CollectionError(
                f"no picture and no metadata among its {counted(len(self._names), 'file')}",
                where=self.path,
                fix="give the folder that holds images/ and json/, or the pictures",
            )
        note = ("no metadata beside it, so it has no traits",) if found else ()
        found += [FolderEntry(text_of(stem), picture=name, notes=note) for stem, name in _named(alone)]
        return _unique(sorted(found, key=lambda entry: _natural(entry.id)))

    def remarks(self) -> Sequence[str]:
        """Say which names a zip has more than once."""
        repeated = self.store.repeated()
        return (say_repeated(repeated),) if repeated else ()

    def make(self, entry: FolderEntry) -> Made:
        """Make an item."""
        metadata = entry.metadata or {"name": entry.id}
        item = item_of_metadata(entry.id, metadata)
        item = item.model_copy(update={"notes": (*entry.notes, *item.notes)})
        return Made(item, partial(self._picture, entry, item))

    def _picture(self, entry: FolderEntry, item: Item) -> Picture:
        if entry.picture is None:
            named = f": {item.url[:80]} is not among the files" if item.url else ""
            raise NoPictureError(f"no picture{named}")
        try:
            data = self.store.read(entry.picture)
        except UnreadableError as error:
            raise NoPictureError(str(error)) from error
        return check_picture(data, self.svg_px)

    @cached_property
    def _names(self) -> list[str]:
        def hidden(name: str) -> bool:
            parts = PurePosixPath(name).parts
            return any(part == "__MACOSX" or (part.startswith(".") and part != "..") for part in parts)

        return [name for name in self.store.names() if not hidden(name)]

    def _from_single_files(self, pictures: Sequence[str]) -> Iterator[FolderEntry]:
        finder = _Finder(pictures)
        for name in self._names:
            path = PurePosixPath(name)
            if not _is_single(path):
                continue
            try:
                metadata = self._json(name)
            except NoPictureError as error:
                yield FolderEntry(
                    text_of(path.stem),
                    picture=finder.find(path, {}),
                    notes=(text_of(f"{path.name}: {error}"),),
                )
                continue
            if isinstance(metadata, dict) and _is_metadata(metadata):
                yield FolderEntry(text_of(path.stem), metadata, finder.find(path, metadata))

    def _from_list(self, pictures: Sequence[str]) -> Iterator[FolderEntry]:
        finder = _Finder(pictures)
        for name in self._names:
            path = PurePosixPath(name)
            if path.name not in _LISTS:
                continue
            try:
                items = self._json(name)
            except NoPictureError as error:
                raise CollectionError(
                    f"{name}: {error}", where=self.path, fix="mend it, or take it away"
                ) from error
            for number, metadata in enumerate(items if isinstance(items, list) else []):
                if isinstance(metadata, dict):
                    item_id = next(
                        (str(metadata[key]) for key in _IDS if metadata.get(key) is not None), str(number)
                    )
                    yield FolderEntry(item_id, metadata, finder.find(path.parent / item_id, metadata))
            return

    def _collection_metadata(self, name: str) -> dict[str, Any]:
        if PurePosixPath(name).name != f"{_COLLECTION}.json":
            return {}
        try:
            value = self._json(name)
        except NoPictureError:
            return {}
        return value if isinstance(value, dict) else {}

    def _json(self, name: str) -> Any:
        try:
            return json.loads(self.store.read(name).decode("utf-8-sig"))
        except UnreadableError as error:
            raise NoPictureError(str(error)) from error
        except (ValueError, RecursionError) as error:
            raise NoPictureError(f"no JSON ({str(error)[:100]})") from error


class _Finder:
    """Finds the picture that belongs to a metadata file."""

    def __init__(self, pictures: Iterable[str]) -> None:
        self._names = set(pictures)
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for name in sorted(self._names):
            self._by_name.setdefault(PurePosixPath(name).name, []).append(name)
            self._by_stem.setdefault(PurePosixPath(name).stem, []).append(name)

    def find(self, metadata_path: PurePosixPath, metadata: Mapping[str, Any]) -> str | None:
        """Find a picture by the file that `image` names, then by the metadata file's name, in its folder first."""
        image = metadata.get("image")
        named = PurePosixPath(image.rpartition("?")[0] or image).name if isinstance(image, str) else ""
        stem = metadata_path.stem if metadata_path.suffix else metadata_path.name
        for found in (self._by_name.get(named, []), self._by_stem.get(stem, [])):
            beside = [name for name in found if PurePosixPath(name).parent == metadata_path.parent]
            if beside or len(found) == 1:
                return (beside or found)[0]
        return None


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in _PICTURES


def _is_single(path: PurePosixPath) -> bool:
    if path.name in _LISTS or path.stem == _COLLECTION:
        return False
    return path.suffix.lower() == ".json" or (not path.suffix and path.parent.name in _BARE_FOLDERS)


def _is_metadata(metadata: Mapping[str, Any]) -> bool:
    # Configurations and caches of art engines are JSON too.
    return bool({"attributes", "traits", "image", "image_data", "animation_url"} & metadata.keys())


def _named(pictures: Sequence[str]) -> Iterator[tuple[str, str]]:
    stems = Counter(PurePosixPath(name).stem for name in pictures)
    for name in pictures:
        stem = PurePosixPath(name).stem
        yield (stem if stems[stem] == 1 else name), name


def _unique(entries: Sequence[FolderEntry]) -> list[FolderEntry]:
    """Make ids unique: a repeated id gets a number, and a note says so."""
    ids = UniqueIds()
    unique = []
    for entry in entries:
        given = clean(entry.id, 200) or "item"
        item_id = ids.take(given)
        again = () if item_id == given else (f"a second item of id {given}; it is called {item_id} here",)
        unique.append(replace(entry, id=item_id, notes=(*again, *entry.notes)))
    return unique


def _natural(text: str) -> list[tuple[int, int, str]]:
    return [
        (0, int(part), "")
        if part.isdigit() and part.isascii() and len(part) <= _MOST_DIGITS
        else (1, 0, part)
        for part in _NUMBERS.split(text)[:20]
        if part
    ]
