"""Exports generators for visitors' browsers, cached in the work folder. Torch is imported only while exporting.

models/KEY.bin.gz   the weights file for the browser
models/KEY.json     facts about it, or why there is none
models/KEY.dials.*  likewise its dials, and KEY.encoder.* its encoder
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import metagan
from metagan.errors import ExportError, MetaganError, RegistryError
from metagan.fetch.locate import locate_weights
from metagan.files import write_bytes
from metagan.registry.fields import DialsRef
from metagan.registry.models import Registry, Subject
from metagan.site.build.build_dir import BuildDir, digest_of, digest_of_folder, read_json, write_json
from metagan.site.build.picture_cache import PictureCache
from metagan.site.pages.content import GeneratorFacts, LiveDials, LiveEncoder, LiveModel
from metagan.values import format_bytes

SHOWN_DIALS = 10  # on a page
LARGEST_BYTES = 60_000_000  # gzipped: the largest download with `live: auto`
_SMALLEST_BYTES_A_WEIGHT = 1.0  # lower estimate for float16, gzipped; measured about 1.7


@dataclass(frozen=True)
class BrowserModel:
    """A subject's generator for browsers, or why there is none.

    Args:
        model: Facts about it, or None.
        file: The weights file in the work folder; None if none was requested.
        reason: Why there is none; empty if there is a model, or the registry wants none.
        dials: Facts about its dials, or None.
        dials_file: The dials' file in the work folder, or None.
        encoder: Facts about its encoder, or None.
        encoder_file: The encoder's file in the work folder, or None.
    """

    model: LiveModel | None = None
    file: Path | None = None
    reason: str = ""
    dials: LiveDials | None = None
    dials_file: Path | None = None
    encoder: LiveEncoder | None = None
    encoder_file: Path | None = None


def make_models(
    registry: Registry, caches: list[PictureCache], facts: list[GeneratorFacts], build_dir: BuildDir
) -> list[BrowserModel]:
    """Return every subject's generator for browsers, exporting those that aren't cached.

    Raises:
        RegistryError: If a subject says `live: always`, but its generator can't run in a browser, if its dials can't be
            read or found, or if its encoder can't be read.
    """
    made, problems = [], []
    for cache, known in zip(caches, facts, strict=True):
        key = "live"
        try:
            one = _make(cache, known, build_dir)
            key = "dials"
            one = _with_dials(one, cache, build_dir)
            key = "encoder"
            made.append(_with_encoder(one, cache, build_dir))
        except MetaganError as error:
            problems.append(_problem(registry, cache.subject, key, error))
    if problems:
        raise RegistryError.of(problems)
    return made


def _problem(registry: Registry, subject: Subject, key: str, error: MetaganError) -> Any:
    from metagan.site.build.preflight import problem_with

    return problem_with(registry, subject, key, error)


def _make(cache: PictureCache, facts: GeneratorFacts, build_dir: BuildDir) -> BrowserModel:
    live = cache.subject.live
    if live == "never":
        return BrowserModel()
    if live == "auto" and facts.parameters * _SMALLEST_BYTES_A_WEIGHT > LARGEST_BYTES:
        return BrowserModel(reason=_too_large(f"{facts.parameters:,} parameters"))
    file = build_dir.folder / "models" / f"{_key(cache)}.bin.gz"
    record = _record(cache, file)
    if "reason" in record:
        if live == "always":
            raise ExportError(str(record["reason"]))
        return BrowserModel(None, file, str(record["reason"]))
    model = LiveModel(**record)
    if live == "auto" and model.size_bytes > LARGEST_BYTES:
        return BrowserModel(None, file, _too_large(format_bytes(model.size_bytes)))
    return BrowserModel(model, file)


def _with_dials(made: BrowserModel, cache: PictureCache, build_dir: BuildDir) -> BrowserModel:
    """Add a subject's dials to its generator for browsers, if it has both."""
    ref = cache.subject.dials
    if ref is None or made.model is None:
        return made
    lab = digest_of_folder(Path(metagan.__file__).parent / "lab", "*.py")
    file_sha256 = None if ref.file is None else build_dir.sha256(locate_weights(ref.file))
    key = digest_of(_key(cache), file_sha256, ref.names, ref.rest, cache.subject.label_choice, lab)
    file = build_dir.folder / "models" / f"{key}.dials.bin"
    beside = file.with_suffix(".json")
    record = read_json(beside)
    if record.keys() != {field.name for field in dataclasses.fields(LiveDials)} or not file.is_file():
        record = _export_dials(cache, ref, file)
        write_json(beside, record)
    layers = tuple((first, last) for first, last in record["layers"])
    dials = LiveDials(**record | {"names": tuple(record["names"]), "layers": layers})
    return dataclasses.replace(made, dials=dials, dials_file=file)


def _export_dials(cache: PictureCache, ref: DialsRef, file: Path) -> dict[str, Any]:
    from metagan.export.fold import fold_directions
    from metagan.lab.dials import open_dials
    from metagan.site.build.pictures import load_networks

    generator, _ = load_networks(cache)
    found = open_dials(ref, generator, label=cache.subject.label_choice)
    shown = found.info.dials[:SHOWN_DIALS]
    content = fold_directions(generator, found.vectors[:SHOWN_DIALS]).numpy().astype("<f4").tobytes()
    write_bytes(file, content)
    sha256 = hashlib.sha256(content).hexdigest()
    return dataclasses.asdict(
        LiveDials(
            path=f"models/{sha256}.dials.bin",
            sha256=sha256,
            size_bytes=len(content),
            names=tuple(dial.name for dial in shown),
            layers=tuple((dial.first, dial.last) for dial in shown),
        )
    )


def _with_encoder(made: BrowserModel, cache: PictureCache, build_dir: BuildDir) -> BrowserModel:
    """Add a subject's encoder to its generator for browsers, if it has both."""
    ref = cache.subject.encoder
    if ref is None or made.model is None:
        return made
    lab = digest_of_folder(Path(metagan.__file__).parent / "lab", "*.py")
    path = locate_weights(ref)
    key = digest_of(_key(cache), build_dir.sha256(path), cache.subject.label_choice, lab)
    file = build_dir.folder / "models" / f"{key}.encoder.bin"
    beside = file.with_suffix(".json")
    record = read_json(beside)
    if record.keys() != {field.name for field in dataclasses.fields(LiveEncoder)} or not file.is_file():
        record = _export_encoder(cache, path, file)
        write_json(beside, record)
    lists = {name: tuple(record[name]) for name in ("widths", "distances")}
    label = tuple(record["label"]) if isinstance(record["label"], list) else record["label"]
    return dataclasses.replace(
        made, encoder=LiveEncoder(**record | lists | {"label": label}), encoder_file=file
    )


def _export_encoder(cache: PictureCache, path: Path, file: Path) -> dict[str, Any]:
    from metagan.lab.encoder import open_encoder
    from metagan.site.build.pictures import load_networks

    subject = cache.subject
    generator, _ = load_networks(cache)
    encoder = open_encoder(path, generator, label=subject.label_choice, noise=subject.noise)
    content = encoder.numbers().numpy().astype("<f2").tobytes()
    write_bytes(file, content)
    sha256, info = hashlib.sha256(content).hexdigest(), encoder.info
    return dataclasses.asdict(
        LiveEncoder(
            path=f"models/{sha256}.encoder.bin",
            sha256=sha256,
            size_bytes=len(content),
            width=info.width,
            height=info.height,
            channels=info.channels,
            widths=info.widths,
            axes=info.axes,
            ranges=info.ranges,
            label=info.label,
            distances=info.distances,
        )
    )


def _too_large(what: str) -> str:
    limit = f"the limit is {LARGEST_BYTES / 1e6:.0f} MB unless the registry says `live: always`"
    return f"the generator is large ({what}; {limit})"


def _key(cache: PictureCache) -> str:
    """Hash everything that the exported file depends on."""
    code = [
        digest_of_folder(Path(metagan.__file__).parent / part, "*.py")
        for part in ("export", "networks/upscaler")
    ]
    upscaler = [cache.upscaler.sha256] if cache.upscaler else []
    return digest_of(cache.sha256, cache.subject.noise, *code, *upscaler)


def _record(cache: PictureCache, file: Path) -> dict[str, Any]:
    """Return the facts about the exported file, exporting it first if necessary."""
    beside = file.with_name(file.name.removesuffix(".bin.gz") + ".json")
    record = read_json(beside)
    if "reason" in record or (
        record.keys() == {field.name for field in dataclasses.fields(LiveModel)}
        and file.is_file()
        and file.stat().st_size == record["size_bytes"]
    ):
        return record
    record = _export(cache, file)
    write_json(beside, record)
    return record


def _export(cache: PictureCache, file: Path) -> dict[str, Any]:
    from metagan.export.web import make_web_weights
    from metagan.lab.lineage import mark_of
    from metagan.site.build.pictures import load_networks

    (generator, upscaler), noise = load_networks(cache), cache.subject.noise
    try:
        try:
            weights = make_web_weights(generator, "fp16", noise, upscaler)
        except ExportError:  # fp16 is too coarse for this generator; other causes are refused again with fp32
            weights = make_web_weights(generator, "fp32", noise, upscaler)
    except ExportError as error:
        return {"reason": error.what}
    write_bytes(file, weights.compressed)
    likeness = weights.likeness
    return dataclasses.asdict(
        LiveModel(
            path=f"models/{weights.sha256}.bin.gz",
            sha256=weights.sha256,
            content_bytes=len(weights.content),
            file_sha256=hashlib.sha256(weights.compressed).hexdigest(),
            size_bytes=len(weights.compressed),
            precision=weights.precision,
            off_by_one=likeness.off_by_one,
            psnr_db=likeness.psnr_db if math.isfinite(likeness.psnr_db) else None,
            mark=mark_of(generator),
        )
    )
