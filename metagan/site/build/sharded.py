"""Publishes the pictures of a run of shards: no picture is drawn here, and no list grows with their number.

    find_run(...) -> ShardedRun -> write_index(...), extract_singles(...), then for each layout
    shards   pictures/SLUG/shards/manifest.json   which shards there are, and where
             pictures/SLUG/shards/NAME.bin        of each picture 44 bytes: offset, length and SHA-256
             pictures/SLUG/shards/NAME.zip        the shards, if they lie in a folder of this machine
    files    pictures/SLUG/123/123456.webp        every picture as a file, at most 1,000 in a folder

Whatever has to work without JavaScript, the first pictures, the feeds' and those of the last days, are files in both.
Nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from metagan.errors import BuildError, OptionError
from metagan.files import write_bytes
from metagan.images.encode import EXTENSIONS
from metagan.registry.models import Shards, Site, Subject
from metagan.seeds import SeedRanges
from metagan.shards.manifest import (
    MANIFEST,
    RunManifest,
    index_name,
    open_run,
    read_manifest,
    shard_name,
    zip_name,
)
from metagan.shards.shard import decode_index
from metagan.site.build.build_dir import BuildDir
from metagan.site.build.picture_cache import PictureCache
from metagan.site.pages.api import json_bytes
from metagan.site.pages.content import SHARD_ROW_BYTES, ShardsContent
from metagan.site.pages.daily import latest_places
from metagan.site.pages.views import FILES_A_FOLDER, PLAIN_SHEET
from metagan.storage import Storage, protocol_of

NEWEST: Final = 30
READERS: Final = 8
PATIENCE_S: Final = 60.0
_ROW: Final = struct.Struct("<QI32s")
_FIX: Final = "run the `metagan sample` command of these shards again with --verify"


@dataclass(frozen=True)
class ShardedRun:
    """A run of shards whose pictures a subject shows.

    Args:
        place: The run's folder or address.
        manifest: The run's.
        url: Where browsers find the run's folder, with a closing slash; None if the site gets the shards.
        layout: "shards" or "files".
    """

    place: str
    manifest: RunManifest
    url: str | None
    layout: str

    @property
    def name(self) -> str:
        """The run's, which is a hash of all that decides the pictures' bytes."""
        return self.manifest.settings.folder

    def seeds(self, subject: Subject, most: int | None) -> SeedRanges:
        """The seeds to publish: the run's, without the excluded ones, and so many at most."""
        seeds = SeedRanges(self.manifest.ranges).without(subject.exclude)
        return seeds if most is None else seeds.first(most)

    def open(self) -> Storage:
        """The run's folder."""
        return Storage(self.place, OptionError, patience_s=PATIENCE_S)


def find_runs(place: str) -> list[tuple[str, RunManifest]]:
    """Find the runs in a folder or at an address: it is a run's own, or has runs' folders.

    Raises:
        OptionError: There is none, or a manifest can't be read.
    """
    storage = Storage(place, OptionError, patience_s=PATIENCE_S)
    storage.require_bucket()
    if storage.read(MANIFEST) is not None:
        return [(place, open_run(place)[1])]
    found = []
    for folder in storage.folders():
        content = storage.read(f"{folder}/{MANIFEST}")
        if content is not None:
            address = storage.address(f"{folder}/{MANIFEST}")
            found.append((f"{place.rstrip('/')}/{folder}", read_manifest(content, address)))
    if not found:
        raise OptionError(
            f"there is no run of shards here: no {MANIFEST}, and no folder with one",
            where=storage.address("").rstrip("/"),
            fix="name the folder or address that `metagan sample --shards` had as --out",
        )
    return found


def choose_run(
    subject: Subject,
    runs: Sequence[tuple[str, RunManifest]],
    weights: str,
    upscaler: str | None,
    shards: Shards,
) -> ShardedRun | None:
    """Choose the run of a subject's generator; None if no run has its weights.

    Args:
        subject: The subject.
        runs: Places and manifests.
        weights: SHA-256 of the generator's file.
        upscaler: SHA-256 of the subject's upscaler, or None.
        shards: What the registry or the command line says of them.

    Raises:
        OptionError: Several runs are as good, or the run has no pictures, or another upscaler's.
    """
    of_it = [(place, manifest) for place, manifest in runs if manifest.settings.weights == weights]
    alike = [each for each in of_it if _is_drawn_alike(each[1], subject, upscaler)]
    named = [each for each in alike or of_it if each[1].settings.name == subject.slug]
    best = named or alike or of_it
    if not best:
        return None
    if len(best) > 1:
        raise OptionError(
            f"{subject.slug}: several runs have pictures of its generator: "
            + ", ".join(manifest.settings.folder for _, manifest in best),
            where=shards.run,
            fix="name the folder of one of them",
        )
    ((place, manifest),) = best
    if manifest.settings.upscaler not in (None, upscaler):
        raise OptionError(
            f"{subject.slug}: these pictures were enlarged by another upscaler than the registry's, "
            f"sha256 {manifest.settings.upscaler}",
            where=place,
            fix="name that upscaler in the registry, or draw the run again",
        )
    if not manifest.shards:
        raise OptionError("this run has no shards yet", where=place, fix="draw some with `metagan sample`")
    return ShardedRun(place, manifest, _public_address(shards, place), shards.layout)


def adopted(subject: Subject, run: ShardedRun) -> Subject:
    """The subject with what the run says of how its pictures were drawn."""
    settings = run.manifest.settings
    label = settings.label
    changed: dict[str, object] = {
        "psi": settings.psi,
        "noise": settings.noise,
        "format": settings.format,
        "label": label if isinstance(label, tuple) else None,
        "class_index": None if isinstance(label, tuple) else label,
        "text": None,  # a line for each picture would grow with them
    }
    if settings.upscaler is None:
        changed["upscale"] = None
    return subject.model_copy(update=changed).named(subject.slug)


def with_singles(subject: Subject, seeds: SeedRanges, places: Iterable[int] = ()) -> Subject:
    """The subject with only those pictures that become files of the site in any layout.

    Args:
        subject: The subject.
        seeds: All that are published.
        places: Of further pictures among them.
    """
    first = seeds[:PLAIN_SHEET]
    newest = seeds[max(len(seeds) - NEWEST, 0) :]
    chosen = SeedRanges(range(seed, seed + 1) for seed in (*first, *newest, *(seeds[at] for at in places)))
    return subject.model_copy(update={"images": chosen.ranges}).named(subject.slug)


def with_days(cache: PictureCache, built: date) -> PictureCache:
    """The cache with the pictures of the last days, which feeds show."""
    if cache.seeds is None:
        return cache
    subject = with_singles(cache.subject, cache.seeds, latest_places(built, len(cache.seeds)))
    return dataclasses.replace(cache, subject=subject)


def shards_content(run: ShardedRun, slug: str, seeds: SeedRanges, site: Site) -> ShardsContent:
    """What pages say of a run's pictures."""
    if run.layout == "files":
        return ShardsContent(seeds)
    url = None if run.url is None or run.url.startswith(site.base_url) else run.url
    host = urlsplit(url or "")
    home = urlsplit(site.base_url)
    is_foreign = url is not None and (host.scheme, host.netloc) != (home.scheme, home.netloc)
    origin = f"{host.scheme}://{host.netloc}" if is_foreign else ""
    return ShardsContent(seeds, f"pictures/{slug}/shards/manifest.json", origin)


def write_index(
    cache: PictureCache, build_dir: BuildDir, advance: Callable[[int], None] = lambda _count: None
) -> None:
    """Make what browsers look a picture's place up in, one shard's after the other, as far as it isn't there.

    Raises:
        OptionError: An index is missing or damaged.
    """
    run, seeds = cache.run, cache.seeds
    if run is None or seeds is None:
        return
    storage, folder = run.open(), _index_folder(run, build_dir)
    missing = [shard for shard in _shards(run, seeds) if not _is_whole(folder, shard)]

    def read(shard: range) -> int:
        write_bytes(folder / f"{shard_name(shard)}.bin", _index(storage, shard))
        return len(shard)

    with ThreadPoolExecutor(READERS) as pool:
        for count in pool.map(read, missing):
            advance(count)


def extract_singles(cache: PictureCache, build_dir: BuildDir) -> None:
    """Put the pictures that are files in any layout into the cache, each checked by its SHA-256.

    Args:
        cache: The subject's.
        build_dir: Has the index.

    Raises:
        BuildError: A picture isn't what the index says.
    """
    if cache.run is None:
        return
    run, storage, folder = cache.run, cache.run.open(), _index_folder(cache.run, build_dir)
    for seed in cache.missing():
        shard = next(shard for shard in run.manifest.ranges if seed in shard)
        index = folder / f"{shard_name(shard)}.bin"
        offset, length, sha256 = _ROW.unpack_from(index.read_bytes(), _ROW.size * shard.index(seed))
        data = storage.read_range(zip_name(shard), offset, offset + length)
        if data is None or hashlib.sha256(data).digest() != sha256:
            raise _damaged(seed, storage.address(zip_name(shard)), index)
        write_bytes(cache.picture(seed), data)


def _damaged(seed: int, place: str, index: Path) -> BuildError:
    """Make the error of a picture that isn't what the kept index says; the next build reads the run's index again."""
    index.unlink(missing_ok=True)
    return BuildError(f"the picture of seed {seed} is missing or damaged", where=place, fix=_FIX)


def put_pictures(
    cache: PictureCache, site: Site, folder: Path, build_dir: BuildDir, advance: Callable[[int], None]
) -> Iterator[tuple[str, int]]:
    """Write a run's pictures, or what browsers need to find them, to a site; yield names and sizes.

    Raises:
        BuildError: A shard is missing or damaged.
        OSError: The site's folder can't be written.
    """
    run, seeds = cache.run, cache.seeds
    if run is None or seeds is None:
        return
    base = f"pictures/{cache.subject.slug}"
    if run.layout == "files":
        yield from _put_files(cache, run, seeds, folder, base, build_dir, advance)
        return
    base = f"{base}/shards"
    (folder / base).mkdir(parents=True)
    shards = _shards(run, seeds)
    url = None if run.url is None or not run.url.startswith(site.base_url) else run.url[len(site.base_url) :]
    zips = "" if run.url is None else run.url if url is None else "../" * (base.count("/") + 1) + url
    data = json_bytes(
        {
            "zips": zips,
            "type": f"image/{run.manifest.settings.format}",
            "row": SHARD_ROW_BYTES,
            "shards": [[shard[0], shard[-1]] for shard in shards],
        }
    )
    (folder / base / "manifest.json").write_bytes(data)
    yield f"{base}/manifest.json", len(data)
    for shard in shards:
        name = f"{shard_name(shard)}.bin"
        source = _index_folder(run, build_dir) / name
        shutil.copyfile(source, folder / base / name)
        yield f"{base}/{name}", source.stat().st_size
        if run.url is None:
            source = Path(run.place.removeprefix("file://"), zip_name(shard))
            _link_or_copy(source, folder / base / source.name)
            yield f"{base}/{source.name}", source.stat().st_size
        advance(len(shard))


def _put_files(
    cache: PictureCache,
    run: ShardedRun,
    seeds: SeedRanges,
    folder: Path,
    base: str,
    build_dir: BuildDir,
    advance: Callable[[int], None],
) -> Iterator[tuple[str, int]]:
    """Write every picture as a file: seed 123456 into the folder 123."""
    storage, extension = run.open(), EXTENSIONS[cache.subject.format]
    made: set[Path] = set()
    for shard in _shards(run, seeds):
        content = storage.read(zip_name(shard)) or b""
        index = _index_folder(run, build_dir) / f"{shard_name(shard)}.bin"
        rows = _ROW.iter_unpack(index.read_bytes())
        published = SeedRanges([shard]).without(cache.subject.exclude)
        for seed, (offset, length, sha256) in zip(shard, rows, strict=True):
            if seed not in published or seed > seeds[-1]:
                continue
            data = content[offset : offset + length]
            if hashlib.sha256(data).digest() != sha256:
                raise _damaged(seed, storage.address(zip_name(shard)), index)
            name = f"{base}/{seed // FILES_A_FOLDER}/{seed}.{extension}"
            path = folder / name
            if path.parent not in made:
                path.parent.mkdir(parents=True, exist_ok=True)
                made.add(path.parent)
            path.write_bytes(data)
            yield name, len(data)
        advance(len(shard))


def tidy_indexes(build_dir: BuildDir, caches: Iterable[PictureCache]) -> None:
    """Remove indexes of runs that are no longer on the site."""
    wanted = {cache.run.name for cache in caches if cache.run}
    for folder in (build_dir.folder / "shards").glob("*/"):
        if folder.name not in wanted:
            for path in folder.glob("*.bin"):
                path.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()


def _is_drawn_alike(manifest: RunManifest, subject: Subject, upscaler: str | None) -> bool:
    found = manifest.settings
    return (found.psi, found.label, found.noise, found.format, found.upscaler) == (
        subject.psi,
        subject.label_choice,
        subject.noise,
        subject.format,
        upscaler,
    )


def _shards(run: ShardedRun, seeds: SeedRanges) -> list[range]:
    """The shards from the one of the lowest seed to the one of the highest."""
    return [shard for shard in run.manifest.ranges if shard[0] <= seeds[-1] and shard[-1] >= seeds[0]]


def _index_folder(run: ShardedRun, build_dir: BuildDir) -> Path:
    return build_dir.folder / "shards" / run.name


def _is_whole(folder: Path, shard: range) -> bool:
    path = folder / f"{shard_name(shard)}.bin"
    return path.is_file() and path.stat().st_size == len(shard) * SHARD_ROW_BYTES


def _index(storage: Storage, shard: range) -> bytes:
    """A shard's index as browsers read it."""
    rows = decode_index(storage.read(index_name(shard)) or b"")
    if rows is None or [row.seed for row in rows] != list(shard):
        raise OptionError(
            "this index is missing or damaged", where=storage.address(index_name(shard)), fix=_FIX
        )
    try:
        return b"".join(_ROW.pack(row.offset, row.length, bytes.fromhex(row.sha256)) for row in rows)
    except (struct.error, ValueError) as error:
        raise OptionError(
            "this index is damaged", where=storage.address(index_name(shard)), fix=_FIX
        ) from error


def _link_or_copy(source: Path, target: Path) -> None:
    """Give a shard a name on the site. Shards are never written to again, so that they need no second copy."""
    try:
        os.link(source, target)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise BuildError("this shard is missing", where=source, fix=_FIX) from error
        shutil.copyfile(source, target)


def _public_address(shards: Shards, place: str) -> str | None:
    """Where browsers find a run's folder, or None if the site is to have it.

    Raises:
        OptionError: The address doesn't tell.
    """
    below = place.rstrip("/")[len(shards.run.rstrip("/")) :].lstrip("/")
    if shards.layout == "files":
        return None
    if shards.url is not None:
        return f"{shards.url.rstrip('/')}/{below}".rstrip("/") + "/"
    protocol, _, rest = place.rstrip("/").rpartition("://")
    protocol = protocol_of(f"{protocol}://") if protocol else ""
    if protocol in ("", "file"):
        return None
    bucket, _, path = rest.rpartition("@")[2].partition("/")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if protocol in ("http", "https"):
        return f"{place.rstrip('/')}/"
    if protocol in ("s3", "s3a"):
        host = f"{endpoint.rstrip('/')}/{bucket}" if endpoint else f"https://{bucket}.s3.amazonaws.com"
        return f"{host}/{path}/"
    if protocol in ("gs", "gcs"):
        return f"https://storage.googleapis.com/{bucket}/{path}/"
    raise OptionError(
        f"browsers can't read {protocol}:// addresses",
        where=shards.run,
        fix="state the address at which they find the same folder: --pictures-url, or `url` beside `run`",
    )
