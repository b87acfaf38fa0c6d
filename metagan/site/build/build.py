"""The build: gather, draw, render, check, and move the finished site into place.

The previous site is not touched until the next one is complete. Torch is imported only if a picture is missing.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps

import metagan
from metagan.errors import BuildError, MetaganError, Problem, RegistryError
from metagan.files import real_path
from metagan.images.encode import encode
from metagan.images.provenance import Provenance
from metagan.site.build.build_dir import BuildDir, swap_in
from metagan.site.build.cards import make_cards
from metagan.site.build.collections import (
    SubjectCollection,
    check_classifier,
    describe_collection,
    open_collection_of,
    work_files,
)
from metagan.site.build.gather import BuildInputs, BuildOptions, Progress, gather, subject_problem
from metagan.site.build.links import check_links
from metagan.site.build.models import BrowserModel, make_models
from metagan.site.build.picture_cache import PictureCache
from metagan.site.build.reals import OpenedReals, make_reals, open_reals, reals_folder
from metagan.site.build.sharded import (
    extract_singles,
    put_pictures,
    shards_content,
    tidy_indexes,
    with_days,
    write_index,
)
from metagan.site.manifest import MANIFEST, Manifest
from metagan.site.pages.check import check_templates
from metagan.site.pages.content import (
    CollectionContent,
    Picture,
    RealsContent,
    SiteContent,
    SubjectContent,
    ai_system,
)
from metagan.site.pages.render import render_site
from metagan.site.pages.text import line_for, read_corpus
from metagan.values import printable

_KEY = re.compile(r"[0-9a-f]{24}")
_CACHED = re.compile(r"\.?\d+\..+")  # SEED.EXT, and what a killed process left of it

__all__ = ["BuildOptions", "BuildReport", "Progress", "build_site"]


@dataclass
class BuildReport:
    """The result of a build.

    Args:
        out: The site folder.
        subjects: How many subjects the site has.
        pictures: How many pictures it has.
        drawn: Number of pictures drawn in this build.
        live: Number of subjects whose generators run in browsers.
        files: How many files it has.
        unchanged: Whether nothing had to be done.
        warnings: Warnings for the site's author.
    """

    out: Path
    subjects: int = 0
    pictures: int = 0
    drawn: int = 0
    live: int = 0
    files: int = 0
    unchanged: bool = False
    warnings: list[str] = field(default_factory=list)


def build_site(options: BuildOptions, progress: Progress) -> BuildReport:
    """Build or update a site.

    Raises:
        BuildLockedError: If another build is running in the same folder.
        BuildError: If the folder has files of others, the disk is full, or a strict build has warnings.
        MetaganError: If the registry, weights or templates have errors.
    """
    build_dir = BuildDir(real_path(options.out))
    with build_dir.locked():
        former = build_dir.manifest()
        inputs = gather(options, build_dir, progress)
        outcome = BuildReport(options.out, len(inputs.caches), inputs.count, warnings=inputs.warnings)
        day = build_dir.day(inputs.fingerprint)  # another day has another picture of the day
        is_same = former and (former.fingerprint, former.day) == (inputs.fingerprint, day.isoformat())
        if former and is_same and former.is_whole(build_dir.site):
            build_dir.forget_day()
            outcome.unchanged, outcome.files, outcome.warnings = True, len(former.files), former.warnings
            _fail_if_strict(options, outcome)
            return outcome
        inputs = replace(inputs, caches=[with_days(cache, day) for cache in inputs.caches])
        opened, reals = _open_collections(inputs, build_dir), _open_reals(inputs)
        models = make_models(inputs.registry, inputs.caches, inputs.facts, build_dir)
        outcome.live = sum(made.model is not None for made in models)
        outcome.drawn = _draw(inputs, opened, options, build_dir, progress)
        _make_cards(inputs, progress)
        collections, originals = _describe(opened, inputs, build_dir), _make_reals(reals, inputs, build_dir)
        files = _stage(inputs, models, collections, originals, build_dir, options, former, outcome, progress)
        _fail_if_strict(options, outcome)
        made = Manifest.of(build_dir.staging, inputs.fingerprint, files, outcome.warnings, day.isoformat())
        made.write(build_dir.staging)
        _keep_extras(build_dir, former, files)  # also those that came meanwhile
        swap_in(build_dir.staging, build_dir.site)
        build_dir.forget_day()
        if options.tidy and not options.subjects:
            _tidy(build_dir, inputs, models)
        outcome.files = len(files)
        return outcome


# --------------------------------------------------------------------------------------------
# Draw, render, check

# By slug: a subject's collection as pages show it, and its small pictures by their path on the site.
Collections = dict[str, tuple[CollectionContent, dict[str, Path]]]


# By slug: a subject's originals as the game shows them, and their files by their path on the site.
Reals = dict[str, tuple[RealsContent, dict[str, Path]]]


def _open_collections(inputs: BuildInputs, build_dir: BuildDir) -> dict[str, SubjectCollection]:
    """Open the subjects' collections by slug, and report all that can't be before anything is drawn."""
    opened: dict[str, SubjectCollection] = {}
    problems = []
    for subject in inputs.registry.subjects:
        try:
            collection = open_collection_of(subject, build_dir)
        except MetaganError as error:
            problems.append(subject_problem(inputs.registry, subject, "collection", error))
        else:
            opened |= {subject.slug: collection} if collection else {}
    if problems:
        raise RegistryError.of(problems)
    return opened


def _open_reals(inputs: BuildInputs) -> dict[str, OpenedReals]:
    """Open the subjects' training pictures by slug, and report all that can't be shown before anything is drawn."""
    opened: dict[str, OpenedReals] = {}
    problems = []
    for subject in inputs.registry.subjects:
        try:
            reals = open_reals(subject)
        except MetaganError as error:
            problems.append(subject_problem(inputs.registry, subject, "reals", error))
        else:
            opened |= {subject.slug: reals} if reals else {}
    if problems:
        raise RegistryError.of(problems)
    return opened


def _make_reals(opened: dict[str, OpenedReals], inputs: BuildInputs, build_dir: BuildDir) -> Reals:
    return {
        cache.subject.slug: make_reals(opened[cache.subject.slug], cache, size, build_dir)
        for cache, size in zip(inputs.caches, inputs.sizes, strict=True)
        if cache.subject.slug in opened
    }


def _describe(opened: dict[str, SubjectCollection], inputs: BuildInputs, build_dir: BuildDir) -> Collections:
    caches = {cache.subject.slug: cache for cache in inputs.caches}
    pages = inputs.registry.site.picture_pages
    return {
        slug: describe_collection(collection, caches[slug], build_dir, pages=pages)
        for slug, collection in opened.items()
    }


def _draw(
    inputs: BuildInputs,
    opened: dict[str, SubjectCollection],
    options: BuildOptions,
    build_dir: BuildDir,
    progress: Progress,
) -> int:
    sharded = [cache for cache in inputs.caches if cache.run]
    if sharded:
        progress.begin("indexes of shards", sum(cache.count for cache in sharded))
    for cache in sharded:
        write_index(cache, build_dir, progress.advance)
        extract_singles(cache, build_dir)
    missing = sum(len(cache.missing()) for cache in inputs.caches)
    if not missing:
        return 0
    from metagan.site.build.pictures import make_missing
    from metagan.site.build.preflight import problems_with_weights

    # Report everything that would stop the build before drawing for hours.
    problems = check_templates(options.templates) if options.templates else []
    problems += problems_with_weights(inputs.registry, offline=options.offline)
    for subject in inputs.registry.subjects:
        try:
            if subject.slug in opened:
                check_classifier(opened[subject.slug])
        except MetaganError as error:
            problems.append(subject_problem(inputs.registry, subject, "traits", error))
    if problems:
        raise RegistryError.of(problems)
    for cache in inputs.caches:
        if cache.subject.text:
            read_corpus(cache.subject.text.corpus)
    progress.begin("pictures", missing)
    return sum(
        make_missing(cache, options.device, options.precision, progress.advance) for cache in inputs.caches
    )


def _make_cards(inputs: BuildInputs, progress: Progress) -> None:
    missing = sum(len(cache.missing_cards()) for cache in inputs.caches)
    if missing:
        progress.begin("cards", missing)
    for cache, facts in zip(inputs.caches, inputs.facts, strict=True):
        name = ai_system(facts.architecture, cache.sha256, cache.upscaler)
        make_cards(cache, inputs.registry.site, name, progress.advance)


def _stage(
    inputs: BuildInputs,
    models: list[BrowserModel],
    collections: Collections,
    reals: Reals,
    build_dir: BuildDir,
    options: BuildOptions,
    former: Manifest | None,
    outcome: BuildReport,
    progress: Progress,
) -> dict[str, int]:
    """Assemble the next site, and return its files with their sizes."""
    shutil.rmtree(build_dir.staging, ignore_errors=True)
    build_dir.staging.mkdir(parents=True)
    content = _content(inputs, models, collections, reals, build_dir)
    try:
        progress.begin("pages", None)
        files = dict(
            _write_pages(render_site(content, options.templates), build_dir.staging, progress.advance)
        )
        files |= _copy_pictures(inputs, build_dir.staging)
        if any(cache.run for cache in inputs.caches):
            progress.begin("shards", sum(cache.count for cache in inputs.caches if cache.run))
        for cache in inputs.caches:
            files |= put_pictures(cache, content.site, build_dir.staging, build_dir, progress.advance)
        for _, small in (*collections.values(), *reals.values()):
            files |= _copy_files(small, build_dir.staging)
        files |= _copy_models(models, build_dir.staging)
        files |= _write_icons(inputs, build_dir.staging)
        extras = _keep_extras(build_dir, former, files)
    except OSError as error:
        raise BuildError(
            f"{error.strerror or error}; the previous site is untouched",
            where=error.filename or build_dir.staging,
            fix="free some space or check its permissions, then build again",
        ) from error
    problems: list[Problem] = check_links(build_dir.staging, content.site.base_url)
    outcome.warnings += [str(problem) for problem in problems]
    outcome.warnings += extras
    return files


def _content(
    inputs: BuildInputs,
    models: list[BrowserModel],
    collections: Collections,
    reals: Reals,
    build_dir: BuildDir,
) -> SiteContent:
    subjects = tuple(
        SubjectContent(
            cache.subject,
            facts,
            tuple(_pictures(cache)),
            made.model,
            made.reason,
            cache.upscaler,
            collections[cache.subject.slug][0] if cache.subject.slug in collections else None,
            reals[cache.subject.slug][0] if cache.subject.slug in reals else None,
            made.dials,
            shards_content(cache.run, cache.subject.slug, cache.seeds, inputs.registry.site)
            if cache.run and cache.seeds is not None
            else None,
            made.encoder,
        )
        for cache, facts, made in zip(inputs.caches, inputs.facts, models, strict=True)
    )
    return SiteContent(
        site=inputs.registry.site,
        subjects=subjects,
        built=build_dir.day(inputs.fingerprint),
        version=metagan.__version__,
        revision=inputs.fingerprint[:10],
        icons=_icons(),
    )


def _pictures(cache: PictureCache) -> Iterator[Picture]:
    slug = cache.subject.slug
    corpus = read_corpus(cache.subject.text.corpus) if cache.subject.text else None
    for seed in cache.subject.seeds:
        yield Picture(
            seed=seed,
            path=f"pictures/{slug}/{cache.picture(seed).name}",
            card=f"pictures/{slug}/{cache.card(seed).name}" if cache.cards else None,
            text=line_for(corpus, seed) if corpus else None,
        )


def _write_pages(
    pages: Iterator[tuple[str, bytes]], folder: Path, advance: Callable[[int], None]
) -> Iterator[tuple[str, int]]:
    made: set[Path] = set()
    for name, data in pages:
        path = folder / name
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        path.write_bytes(data)
        advance(1)
        yield name, len(data)


def _copy_pictures(inputs: BuildInputs, folder: Path) -> Iterator[tuple[str, int]]:
    for cache in inputs.caches:
        target = folder / "pictures" / cache.subject.slug
        target.mkdir(parents=True)
        for seed in cache.subject.seeds:
            for path in cache.files(seed):
                # Copies, not links, so that changes to the site's files don't affect the cached ones.
                shutil.copyfile(path, target / path.name)
                yield f"pictures/{cache.subject.slug}/{path.name}", path.stat().st_size


def _copy_files(files: dict[str, Path], folder: Path) -> Iterator[tuple[str, int]]:
    for name, file in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        yield name, file.stat().st_size


ICON_SIDES = (192, 512)  # what browsers need to install a site as an app


def _icons() -> tuple[tuple[int, str], ...]:
    return tuple((side, f"static/icon-{side}.png") for side in ICON_SIDES)


def _write_icons(inputs: BuildInputs, folder: Path) -> Iterator[tuple[str, int]]:
    """Make the site's icons from the middle of the first subject's first picture, whole pixels where it is small.

    The user's own, from a folder of templates, stay.
    """
    cache, facts = inputs.caches[0], inputs.facts[0]
    seed = cache.subject.seeds[0]
    with Image.open(cache.picture(seed)) as image:
        picture = image.convert("RGB")
    name = ai_system(facts.architecture, cache.sha256, cache.upscaler)
    for side, path in _icons():
        if (folder / path).exists():
            continue
        how = Image.Resampling.NEAREST if side >= min(picture.size) else Image.Resampling.LANCZOS
        icon = np.asarray(ImageOps.fit(picture, (side, side), how))
        data = encode(icon, "png", Provenance(name, seed, cache.subject.psi))
        (folder / path).write_bytes(data)
        yield path, len(data)


def _copy_models(models: list[BrowserModel], folder: Path) -> Iterator[tuple[str, int]]:
    for made in models:
        if made.model and made.file:
            target = folder / made.model.path
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(made.file, target)
            yield made.model.path, made.model.size_bytes
        if made.dials and made.dials_file:
            shutil.copyfile(made.dials_file, folder / made.dials.path)
            yield made.dials.path, made.dials.size_bytes
        if made.encoder and made.encoder_file:
            shutil.copyfile(made.encoder_file, folder / made.encoder.path)
            yield made.encoder.path, made.encoder.size_bytes


def _keep_extras(build_dir: BuildDir, former: Manifest | None, files: dict[str, int]) -> list[str]:
    """Keep files and folders that others put into the site folder.

    Raises:
        BuildError: If the new site has files or folders of the same names.
    """
    if former is None:
        return []
    folders = _folders_of(files)
    kept, clashing = [], []
    for path in sorted(build_dir.site.rglob("*")):
        name = path.relative_to(build_dir.site).as_posix()
        if _is_folder(path) or name in former.files or name == MANIFEST:
            continue
        target = build_dir.staging / name
        if name in files and path.is_file() and path.read_bytes() == target.read_bytes():
            continue
        if name in folders or _lies_in_file(name, files):
            clashing.append(name)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target, follow_symlinks=False)
        kept.append(name)
    clashing += _keep_folders(build_dir, former, files)
    if clashing:
        raise BuildError(
            f"metagan did not make these files, and the new site has others of their names: {_few(clashing)}; "
            "nothing was changed",
            where=build_dir.site,
            fix="move them away, then build again",
        )
    if not kept:
        return []
    return [
        f"{build_dir.site}: kept files that metagan did not make: {_few(kept)}; "
        "put them into templates/static instead"
    ]


def _keep_folders(build_dir: BuildDir, former: Manifest, files: dict[str, int]) -> list[str]:
    """Keep folders of others, empty ones too, with their modes; return empty ones where the new site has a file."""
    ours, clashing = _folders_of(former.files), []
    for path in sorted(build_dir.site.rglob("*"), reverse=True):  # what is in a folder comes before it
        name = path.relative_to(build_dir.site).as_posix()
        if not _is_folder(path) or name in ours:
            continue
        if not _lies_in_file(name, files):
            (build_dir.staging / name).mkdir(parents=True, exist_ok=True)
            shutil.copystat(path, build_dir.staging / name)
        elif not any(path.iterdir()):
            clashing.append(name)
    return clashing


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _lies_in_file(name: str, files: Mapping[str, int]) -> bool:
    """Whether a path, or a folder above it, is one of the site's files."""
    return name in files or any(str(above) in files for above in PurePosixPath(name).parents)


def _folders_of(files: Iterable[str]) -> set[str]:
    return {str(folder) for name in files for folder in PurePosixPath(name).parents}


def _few(names: list[str]) -> str:
    return ", ".join(map(printable, names[:4])) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _fail_if_strict(options: BuildOptions, outcome: BuildReport) -> None:
    if options.strict and outcome.warnings:
        what = "there are warnings, and --strict is set:\n" + "\n".join(outcome.warnings)
        raise BuildError(what, fix="correct what they name, or leave --strict out")


def _tidy(build_dir: BuildDir, inputs: BuildInputs, models: list[BrowserModel]) -> None:
    """Remove cached pictures and generators that are no longer on the site, and nothing that has another name."""
    files = (file for made in models for file in (made.file, made.dials_file, made.encoder_file) if file)
    kept = {file.name.partition(".")[0] for file in files}
    for path in (build_dir.folder / "models").glob("*.*"):
        key = path.name.partition(".")[0]
        if key not in kept and _KEY.fullmatch(key) and path.is_file():
            path.unlink()
    wanted: dict[Path, set[str]] = {}
    for cache in inputs.caches:
        for path in (path for seed in cache.subject.seeds for path in cache.files(seed)):
            wanted.setdefault(path.parent, set()).add(path.name)
    for folder in (
        folder for kind in ("pictures", "cards") for folder in (build_dir.folder / kind).glob("*")
    ):
        if not (folder.is_dir() and _KEY.fullmatch(folder.name)):
            continue
        for path in folder.iterdir():
            if path.name not in wanted.get(folder, ()) and _CACHED.fullmatch(path.name):
                path.unlink()
        if folder not in wanted:
            with contextlib.suppress(OSError):  # it holds something else
                folder.rmdir()
    _tidy_collections(build_dir, inputs)
    tidy_indexes(build_dir, inputs.caches)


def _tidy_collections(build_dir: BuildDir, inputs: BuildInputs) -> None:
    """Remove small pictures, originals and predicted traits of collections that are no longer on the site."""
    wanted = {path for cache in inputs.caches for path in work_files(cache.subject, cache, build_dir)}
    for cache, size in zip(inputs.caches, inputs.sizes, strict=True):
        wanted.add(reals_folder(cache, size, build_dir))
    for path in (build_dir.folder / "traits").glob("*.json"):
        if path not in wanted and _KEY.fullmatch(path.stem):
            path.unlink()
    folders = (folder for kind in ("collections", "reals") for folder in (build_dir.folder / kind).glob("*/"))
    for folder in folders:
        if folder not in wanted and _KEY.fullmatch(folder.name):
            for path in folder.iterdir():
                if _CACHED.fullmatch(path.name):
                    path.unlink()
            with contextlib.suppress(OSError):  # it holds something else
                folder.rmdir()
