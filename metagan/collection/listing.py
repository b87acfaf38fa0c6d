"""Writes a generator's pictures as a collection ready for listing: files, metadata and a manifest. It mints nothing.

Layouts, each as the program that takes it reads it:

    opensea    media/0.png ... and metadata.csv, the manifest of a drop (at most 15,000)
    metaplex   assets/0.png, assets/0.json ..., assets/collection.json
    thirdweb   0.png ... and metadata.json, a list
    hashlips   images/1.png ..., json/1.json ..., json/_metadata.json

listing.json beside them says how all of it was made, with the provenance hash: the SHA-256 over the pictures' SHA-256
digests (lower-case hex, in the order of the tokens, nothing between them), as Bored Apes and others publish it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metagan import __version__
from metagan.collection.cells import csv_bytes
from metagan.collection.pictures import known_formats
from metagan.collection.rarity import TraitRanking
from metagan.collection.store import Collection
from metagan.collection.table import Table
from metagan.datasets.decode import to_rgb
from metagan.errors import CollectionError, OptionError
from metagan.files import real_path, reason_of, sweep_killed, write_bytes
from metagan.images.encode import encode
from metagan.images.provenance import SOURCE_TYPE, Provenance
from metagan.values import counted

Layout = Literal["opensea", "metaplex", "thirdweb", "hashlips"]
MAX_OPENSEA: Final = 15_000
LISTING_NAME: Final = "listing.json"
NEAR_LEVELS: Final = 6.0
_THUMB_PX: Final = 16

PROVENANCE: Final = (
    "SHA-256 over the pictures' SHA-256 digests as lower-case hex digits, in the order of the tokens, with nothing"
    " between them"
)


@dataclass(frozen=True)
class Terms:
    """The metadata that all tokens share.

    Args:
        name: A pattern with {number} and, where wanted, {seed}: "Ape #{number}".
        description: One text for all.
        generator: The generator's name or file.
        psi: Truncation of the pictures.
        licence: The pictures' licence.
        source: Source of the generator.
        external_url: A page that shows the pictures, or None.
    """

    name: str
    description: str
    generator: str
    psi: float
    licence: str
    source: str = ""
    external_url: str | None = None


@dataclass(frozen=True)
class Candidate:
    """A picture that may be listed: its seed, RGB or grey [h, w, ch], and its traits if they are known."""

    seed: int
    picture: NDArray[np.uint8]
    traits: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Refused:
    """A picture that is too close to one of the training collection; refused/seedN.png shows both.

    Args:
        seed: The picture's seed.
        item: The id of the item that it resembles.
        levels: Their distance; see NearestItems.
    """

    seed: int
    item: str
    levels: float


@dataclass(frozen=True)
class Token:
    """A listed picture."""

    number: int
    seed: int
    name: str
    sha256: str
    traits: tuple[tuple[str, str], ...]


@dataclass
class ListingReport:
    """The result of writing a listing.

    Args:
        path: The folder.
        tokens: The listed pictures, in order.
        provenance: The hash over all pictures.
        refused: Near duplicates of the training collection, each with a picture that shows the pair.
    """

    path: Path
    tokens: list[Token] = field(default_factory=list)
    provenance: str = ""
    refused: list[Refused] = field(default_factory=list)


class NearestItems:
    """Finds the collection's picture that is nearest to another one.

    Pictures are compared at 16x16 pixels over white, as they are and mirrored, since trainings mirror pictures: the
    root mean square of the difference, in levels of 0 to 255. A re-encoded or rescaled copy is within about 3;
    distances up to 6 count as near duplicates.

    Args:
        collection: The training collection.
    """

    def __init__(self, collection: Collection) -> None:
        self._items = [item for item in collection.items if item.file]
        self._path = collection.path
        if not self._items:
            raise CollectionError(
                "no item has a picture", where=collection.path, fix="give the collection it was trained on"
            )
        self._thumbs = np.stack([_thumb(self._opened(index)) for index in range(len(self._items))])
        self._squares = (self._thumbs**2).sum(axis=1)

    def nearest(self, picture: Image.Image) -> tuple[str, float, Image.Image]:
        """Return the nearest item's id, its distance in levels, and its picture."""
        distance, index = min(
            self._nearest(_thumb(one))
            for one in (picture, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
        )
        return self._items[index].id, distance, self._opened(index)

    def _nearest(self, thumb: NDArray[np.float32]) -> tuple[float, int]:
        squares = self._squares - 2 * self._thumbs @ thumb + (thumb**2).sum()
        index = int(squares.argmin())
        return float(np.sqrt(((self._thumbs[index] - thumb) ** 2).mean())), index

    def _opened(self, index: int) -> Image.Image:
        file = self._path / str(self._items[index].file)
        try:
            with Image.open(file, formats=known_formats()) as image:
                return to_rgb(image, (255, 255, 255))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise CollectionError(
                f"can't be read ({reason_of(error)})", where=file, fix="fetch the collection again"
            ) from error


_SAYS_NOTHING: Final = re.compile(
    r"\d*|(best|latest|last|final|network|model|generator|weights|checkpoint|ckpt|pt|g|ema|state|snapshots?|steps?|iter|"
    r"kimg|epoch|runs?|models|checkpoints|downloads?|outputs?|results|training|tmp|root|home|desktop|pictures)",
    re.IGNORECASE,
)  # of each word of a file's or folder's name


def title_of(weights: Path) -> str:
    """A title for the pictures of a weights file: its name, or its folder's where that is one like "best"."""
    whole = real_path(weights)
    for name in (whole.stem, *(folder.name for folder in whole.parents)):
        words = re.sub(r"[\W_]+", " ", name).split()
        if not all(map(_SAYS_NOTHING.fullmatch, words)):
            return " ".join(words)
    return "Picture"


def rarest_first(candidates: Sequence[Candidate], table: Table) -> list[Candidate]:
    """Sort candidates by the rarity score of their traits among a collection's items (TraitRanking), then by seed."""
    # Only types that the classifier tells of some candidate: of the others nothing is known.
    told = dict.fromkeys(kind for candidate in candidates for kind, _ in candidate.traits)
    ranking = TraitRanking(table, told)
    return sorted(candidates, key=lambda one: (-ranking.score(dict(one.traits)), one.seed))


def write_listing(
    out: Path,
    candidates: Iterable[Candidate],
    count: int,
    layout: Layout,
    terms: Terms,
    *,
    training: NearestItems | None = None,
    near_levels: float = NEAR_LEVELS,
) -> ListingReport:
    """Write the first `count` candidates that are not near duplicates.

    Args:
        out: A folder that doesn't exist yet, or is empty.
        candidates: Pictures in the order of the listing; more than `count`, to replace refused ones.
        count: Number of pictures to list.
        layout: The layout of the files.
        terms: The metadata that all tokens share.
        training: The collection that the generator was trained on.
        near_levels: Largest distance at which a picture counts as a near duplicate; see NearestItems.

    Raises:
        CollectionError: If `out` is not empty, or too few candidates are left.
        OptionError: If the layout allows fewer pictures, or the name is not a valid pattern.
    """
    if layout == "opensea" and count > MAX_OPENSEA:
        raise OptionError(
            f"--count {count}: a drop's manifest takes at most {MAX_OPENSEA:,}",
            fix="write several listings, each with its own --first-seed",
        )
    _check_pattern(terms.name)
    with _staged(out) as staged:
        report = ListingReport(out)
        for candidate in candidates:
            if len(report.tokens) == count:
                break
            refused = _refusal(staged, candidate, training, near_levels) if training else None
            if refused:
                report.refused.append(refused)
            else:
                report.tokens.append(_write_picture(staged, candidate, len(report.tokens), layout, terms))
        if len(report.tokens) < count:
            raise _too_few(out, count, report)
        report.provenance = provenance_hash([token.sha256 for token in report.tokens])
        _WRITERS[layout](staged, report.tokens, terms)
        write_bytes(staged / LISTING_NAME, _json(_manifest(report, layout, terms)))
    return report


@contextmanager
def _staged(out: Path) -> Iterator[Path]:
    """Give a folder that becomes `out` if the block succeeds, and is removed if it fails.

    It lies next to `out`, or in it where `out` is there already: a mount point or the shell's folder can't be replaced.

    Raises:
        CollectionError: If `out` is not empty.
    """
    real = real_path(out)  # "." has no name
    place = real / real.name if real.is_dir() else real
    staged = place.with_name(f".{real.name}.{os.getpid()}.tmp")
    shutil.rmtree(staged, ignore_errors=True)
    sweep_killed(place)
    if real.exists() and (not real.is_dir() or any(real.iterdir())):
        raise CollectionError("not an empty folder", where=out, fix="choose another --out")
    try:
        staged.mkdir(parents=True)
        yield staged
        if place == real:
            staged.rename(real)
        else:
            for entry in sorted(staged.iterdir(), key=lambda entry: entry.name == LISTING_NAME):
                entry.rename(real / entry.name)  # the manifest last
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _too_few(out: Path, count: int, report: ListingReport) -> CollectionError:
    what = f"{len(report.tokens):,} of {counted(count, 'picture')} left"
    fix = "list fewer, or give a lower --first-seed"
    if report.refused:
        near = ", ".join(f"seed {one.seed} like item {one.item}" for one in report.refused[:5])
        what += f", {counted(len(report.refused), 'was a near duplicate', 'were near duplicates')} ({near})"
        fix = "list fewer, lower --near, or train on more pictures or for less long"
    return CollectionError(what, where=out, fix=fix)


def provenance_hash(digests: Sequence[str]) -> str:
    """Hash the digests of all pictures; see PROVENANCE."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _write_picture(out: Path, candidate: Candidate, index: int, layout: Layout, terms: Terms) -> Token:
    data = encode(candidate.picture, "png", Provenance(terms.generator, candidate.seed, terms.psi))
    number = index + _FIRST[layout]
    write_bytes(out / _FOLDER[layout] / f"{number}.png", data)
    name = terms.name.format(number=number, seed=candidate.seed)
    return Token(number, candidate.seed, name, hashlib.sha256(data).hexdigest(), candidate.traits)


def _refusal(out: Path, candidate: Candidate, training: NearestItems, near_levels: float) -> Refused | None:
    picture = _image(candidate.picture)
    item, levels, other = training.nearest(picture)
    if levels > near_levels:
        return None
    side = max(picture.size)
    pair = Image.new("RGB", (side * 2, side), "white")
    pair.paste(picture, (0, 0))
    pair.paste(other.resize((side, side)), (side, 0))
    shown = out / "refused" / f"seed{candidate.seed}.png"
    shown.parent.mkdir(parents=True, exist_ok=True)
    pair.save(shown)
    return Refused(candidate.seed, item, levels)


def _metadata(token: Token, terms: Terms, image: str) -> dict[str, Any]:
    said: dict[str, Any] = {"name": token.name, "description": terms.description, "image": image}
    if terms.external_url:
        said["external_url"] = terms.external_url
    said["attributes"] = [{"trait_type": kind, "value": value} for kind, value in token.traits]
    return said | {
        "seed": token.seed,
        "generator": terms.generator,
        "licence": terms.licence,
        "digital_source_type": SOURCE_TYPE,  # made by a machine, as the IPTC says it
    }


def _write_opensea(out: Path, tokens: Sequence[Token], terms: Terms) -> None:
    kinds = sorted({kind for token in tokens for kind, _ in token.traits})
    header = ["tokenID", "name", "description", "file_name", *(f"attributes[{kind}]" for kind in kinds)]
    rows = []
    for token in tokens:
        traits = dict(token.traits)
        values = [traits.get(kind) for kind in kinds]
        rows.append([token.number, token.name, terms.description, f"{token.number}.png", *values])
    write_bytes(out / "metadata.csv", csv_bytes(header, rows, plain_numbers=True))


def _write_metaplex(out: Path, tokens: Sequence[Token], terms: Terms) -> None:
    for token in tokens:
        file = f"{token.number}.png"
        properties = {"files": [{"uri": file, "type": "image/png"}], "category": "image"}
        write_bytes(
            out / "assets" / f"{token.number}.json",
            _json(_metadata(token, terms, file) | {"properties": properties}),
        )
    whole: dict[str, Any] = {
        "name": terms.name.partition("{")[0].strip(" #") or terms.generator,
        "description": terms.description,
    }
    first = f"{tokens[0].number}.png"
    whole |= {
        "image": first,
        "attributes": [],
        "properties": {"files": [{"uri": first, "type": "image/png"}]},
    }
    write_bytes(out / "assets" / "collection.json", _json(whole))


def _write_thirdweb(out: Path, tokens: Sequence[Token], terms: Terms) -> None:
    listed = [_metadata(token, terms, f"{token.number}.png") for token in tokens]
    write_bytes(out / "metadata.json", _json(listed))


def _write_hashlips(out: Path, tokens: Sequence[Token], terms: Terms) -> None:
    listed = [_metadata(token, terms, f"{token.number}.png") | {"edition": token.number} for token in tokens]
    for token, said in zip(tokens, listed, strict=True):
        write_bytes(out / "json" / f"{token.number}.json", _json(said))
    write_bytes(out / "json" / "_metadata.json", _json(listed))


_FOLDER: Final = {"opensea": "media", "metaplex": "assets", "thirdweb": ".", "hashlips": "images"}
_FIRST: Final = {"opensea": 0, "metaplex": 0, "thirdweb": 0, "hashlips": 1}
_WRITERS: Final = {
    "opensea": _write_opensea,
    "metaplex": _write_metaplex,
    "thirdweb": _write_thirdweb,
    "hashlips": _write_hashlips,
}


def _manifest(report: ListingReport, layout: Layout, terms: Terms) -> dict[str, Any]:
    return {
        "made_by": f"metagan {__version__}",
        "layout": layout,
        "count": len(report.tokens),
        "provenance_hash": report.provenance,
        "provenance_is": PROVENANCE,
        "generator": terms.generator,
        "source": terms.source,
        "psi": terms.psi,
        "licence": terms.licence,
        "digital_source_type": SOURCE_TYPE,
        "tokens": [
            {"number": token.number, "seed": token.seed, "sha256": token.sha256} for token in report.tokens
        ],
        "refused": [
            {"seed": one.seed, "nearest": one.item, "levels": round(one.levels, 2)} for one in report.refused
        ],
    }


def _check_pattern(name: str) -> None:
    try:
        shown = {name.format(number=number, seed=number) for number in (1, 2)}
    except (KeyError, IndexError, ValueError, AttributeError, TypeError, MemoryError) as error:
        raise OptionError(
            f"--name {name!r}: want a text with {{number}} or {{seed}} in it, and no other braces",
            fix="write it like 'Ape #{number}'",
        ) from error
    if len(shown) < 2:
        raise OptionError(
            f"--name {name!r}: all pictures would have the same name",
            fix="put {number} into it, such as 'Ape #{number}'",
        )


def _thumb(image: Image.Image) -> NDArray[np.float32]:
    return np.asarray(image.resize((_THUMB_PX, _THUMB_PX), Image.Resampling.BOX), np.float32).ravel()


def _image(picture: NDArray[np.uint8]) -> Image.Image:
    return to_rgb(Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture), (255, 255, 255))


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
