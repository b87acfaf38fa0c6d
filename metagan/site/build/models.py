"""Exports generators for visitors' browsers, cached in the work folder. Torch is imported only while exporting.

models/KEY.bin.gz   the weights file for the browser
models/KEY.json     facts about it, or why there is none
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
from metagan.files import write_bytes
from metagan.registry.models import Registry, Subject
from metagan.site.build.build_dir import BuildDir, digest_of, digest_of_folder, read_json, write_json
from metagan.site.build.picture_cache import PictureCache
from metagan.site.pages.content import GeneratorFacts, LiveModel

LARGEST_BYTES = 12_000_000  # gzipped: the largest download with `live: auto`
_SMALLEST_BYTES_A_WEIGHT = 1.0  # lower estimate for float16, gzipped; measured about 1.8


@dataclass(frozen=True)
class BrowserModel:
    """A subject's generator for browsers, or why there is none.

    Args:
        model: Facts about it, or None.
        file: The weights file in the work folder; None if none was requested.
        reason: Why there is none; empty if there is a model, or the registry wants none.
    """

    model: LiveModel | None = None
    file: Path | None = None
    reason: str = ""


def make_models(
    registry: Registry, caches: list[PictureCache], facts: list[GeneratorFacts], build_dir: BuildDir
) -> list[BrowserModel]:
    """Return every subject's generator for browsers, exporting those that aren't cached.

    Raises:
        RegistryError: If a subject says `live: always`, but its generator can't run in a browser.
    """
    made, problems = [], []
    for cache, known in zip(caches, facts, strict=True):
        try:
            made.append(_make(cache, known, build_dir))
        except ExportError as error:
            problems.append(_problem(registry, cache.subject, error))
    if problems:
        raise RegistryError.of(problems)
    return made


def _problem(registry: Registry, subject: Subject, error: MetaganError) -> Any:
    from metagan.site.build.preflight import problem_with

    return problem_with(registry, subject, "live", error)


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
        return BrowserModel(None, file, _too_large(f"{model.size_bytes / 1e6:.1f} MB"))
    return BrowserModel(model, file)


def _too_large(what: str) -> str:
    limit = f"the limit is {LARGEST_BYTES / 1e6:.0f} MB unless the registry says `live: always`"
    return f"the generator is large ({what}; {limit})"


def _key(cache: PictureCache) -> str:
    """Hash everything that the exported file depends on."""
    code = digest_of_folder(Path(metagan.__file__).parent / "export", "*.py")
    upscaler = [cache.upscaler.sha256] if cache.upscaler else []
    return digest_of(cache.sha256, cache.subject.noise, code, *upscaler)


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
    from metagan.checkpoints.read import read_checkpoint
    from metagan.export.web import make_web_weights
    from metagan.networks.loading.detect import load_generator
    from metagan.networks.upscaler import load_upscaler

    generator, noise = load_generator(read_checkpoint(cache.weights)), cache.subject.noise
    upscaler = load_upscaler(cache.upscaler_weights) if cache.upscaler_weights else None
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
        )
    )
