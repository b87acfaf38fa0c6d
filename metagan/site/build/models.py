"""The generators that visitors' browsers get: exported once, kept in the work folder. Torch only while exporting.

models/KEY.bin.gz   the weights file for the browser
models/KEY.json     what is to be said of it, or why there is none
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
from metagan.site.pages.content import GeneratorFacts, LiveModel
from metagan.site.build.picture_cache import PictureCache
from metagan.site.build.build_dir import BuildDir, digest_of, digest_of_folder, read_json, write_json

LARGEST_BYTES = 12_000_000  # gzipped: what `live: auto` asks a visitor to download at most
_SMALLEST_BYTES_A_WEIGHT = 1.0  # float16, gzipped; in fact about 1.8


@dataclass(frozen=True)
class BrowserModel:
    """A subject's generator for browsers, or why there is none.

    Args:
        model: What is to be said of it, or None.
        file: The weights file's place in the work folder; None where none was looked for.
        reason: In words; empty where there is a model, or where the registry wants none.
    """

    model: LiveModel | None = None
    file: Path | None = None
    reason: str = ""


def make_models(
    registry: Registry, caches: list[PictureCache], facts: list[GeneratorFacts], build_dir: BuildDir
) -> list[BrowserModel]:
    """Every subject's generator for browsers, exported where this wasn't done before.

    Raises:
        RegistryError: A subject says `live: always`, and its generator can't run in a browser.
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
    return f"the generator is large ({what}; the limit is {LARGEST_BYTES / 1e6:.0f} MB unless the registry says `live: always`)"


def _key(cache: PictureCache) -> str:
    """Names everything that the exported file depends on."""
    code = digest_of_folder(Path(metagan.__file__).parent / "export", "*.py")
    upscaler = [cache.upscaler.sha256] if cache.upscaler else []
    return digest_of(cache.sha256, cache.subject.noise, code, *upscaler)


def _record(cache: PictureCache, file: Path) -> dict[str, Any]:
    """What is known of the exported file, exported now if need be."""
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
        except ExportError:  # too coarse for this one; what no precision helps is refused again
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
