"""The build: gather, draw, render, check, and swap the finished site in.

Nothing of the former site is touched until the next one is whole. Torch is imported only when a picture is missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import metagan
from metagan.errors import BuildError, Problem, RegistryError
from metagan.site.pages.check import check_templates
from metagan.site.pages.content import Collection, Picture, SiteContent
from metagan.site.build.links import check_links
from metagan.site.build.models import Made, make_models
from metagan.site.build.gather import Order, Plan, Progress, gather
from metagan.site.pages.render import render_site
from metagan.site.build.picture_cache import Shelf
from metagan.site.build.build_dir import MANIFEST, Manifest, Workplace
from metagan.site.build.build_dir import swap_in
from metagan.site.pages.text import line_for, read_corpus

__all__ = ["Order", "Outcome", "Progress", "build_site"]


@dataclass
class Outcome:
    """What a build did.

    Args:
        out: The site folder.
        subjects: How many subjects the site has.
        pictures: How many pictures it has.
        drawn: How many of them were made in this build.
        live: How many subjects' generators visitors' browsers get.
        files: How many files it has.
        unchanged: Whether there was nothing to do.
        warnings: What its author should know.
    """

    out: Path
    subjects: int = 0
    pictures: int = 0
    drawn: int = 0
    live: int = 0
    files: int = 0
    unchanged: bool = False
    warnings: list[str] = field(default_factory=list)


def build_site(order: Order, progress: Progress) -> Outcome:
    """Build a site, or bring it up to date.

    Raises:
        BuildLockedError: Another build is at work in the same folder.
        BuildError: The folder isn't ours, the disk is full, or a strict build has warnings.
        MetaganError: Whatever is wrong with registry, weights or templates.
    """
    place = Workplace(order.out.resolve())
    with place.locked():
        former = place.manifest()
        plan = gather(order, place, progress)
        outcome = Outcome(order.out, len(plan.shelves), plan.count, warnings=plan.warnings)
        if former and former.fingerprint == plan.fingerprint and former.is_whole(place.site):
            outcome.unchanged, outcome.files, outcome.warnings = True, len(former.files), former.warnings
            _fail_if_strict(order, outcome)
            return outcome
        models = make_models(plan.registry, plan.shelves, plan.facts, place)
        outcome.live = sum(made.model is not None for made in models)
        outcome.drawn = _draw(plan, order, progress)
        files = _stage(plan, models, place, order, former, outcome, progress)
        _fail_if_strict(order, outcome)
        Manifest(plan.fingerprint, files, outcome.warnings).write(place.staging)
        swap_in(place.staging, place.site)
        if order.tidy and not order.subjects:
            _tidy(place, plan, models)
        outcome.files = len(files)
        return outcome


# --------------------------------------------------------------------------------------------
# Draw, render, check


def _draw(plan: Plan, order: Order, progress: Progress) -> int:
    missing = sum(len(shelf.missing()) for shelf in plan.shelves)
    if not missing:
        return 0
    from metagan.site.build.pictures import make_missing
    from metagan.site.build.preflight import problems_with_weights

    # Whatever would stop the build later, it says before it has drawn for hours.
    problems = check_templates(order.templates) if order.templates else []
    problems += problems_with_weights(plan.registry, offline=order.offline)
    if problems:
        raise RegistryError.of(problems)
    for shelf in plan.shelves:
        if shelf.subject.text:
            read_corpus(shelf.subject.text.corpus)
    progress.begin("pictures", missing)
    return sum(make_missing(shelf, order.device, order.precision, progress.advance) for shelf in plan.shelves)


def _stage(
    plan: Plan,
    models: list[Made],
    place: Workplace,
    order: Order,
    former: Manifest | None,
    outcome: Outcome,
    progress: Progress,
) -> dict[str, int]:
    """Put the next site together; returns its files with their sizes."""
    shutil.rmtree(place.staging, ignore_errors=True)
    place.staging.mkdir(parents=True)
    content = _content(plan, models, place)
    try:
        progress.begin("pages", None)
        files = dict(_write_pages(render_site(content, order.templates), place.staging, progress.advance))
        files |= _copy_pictures(plan, place.staging)
        files |= _copy_models(models, place.staging)
    except OSError as error:
        raise BuildError(f"{error.strerror}; the former site is untouched", where=error.filename or place.staging) from error
    problems: list[Problem] = check_links(place.staging, content.site.base_url)
    outcome.warnings += [str(problem) for problem in problems]
    outcome.warnings += _keep_extras(place, former, files)
    return files


def _content(plan: Plan, models: list[Made], place: Workplace) -> SiteContent:
    collections = tuple(
        Collection(shelf.subject, facts, tuple(_pictures(shelf)), made.model, made.reason, shelf.upscaler)
        for shelf, facts, made in zip(plan.shelves, plan.facts, models, strict=True)
    )
    return SiteContent(
        site=plan.registry.site,
        collections=collections,
        built=place.day(plan.fingerprint),
        version=metagan.__version__,
        revision=plan.fingerprint[:10],
    )


def _pictures(shelf: Shelf) -> Iterator[Picture]:
    slug = shelf.subject.slug
    corpus = read_corpus(shelf.subject.text.corpus) if shelf.subject.text else None
    for seed in shelf.subject.seeds:
        yield Picture(
            seed=seed,
            path=f"pictures/{slug}/{shelf.picture(seed).name}",
            card=f"pictures/{slug}/{shelf.card(seed).name}" if shelf.with_cards else None,
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


def _copy_pictures(plan: Plan, folder: Path) -> Iterator[tuple[str, int]]:
    for shelf in plan.shelves:
        target = folder / "pictures" / shelf.subject.slug
        target.mkdir(parents=True)
        for seed in shelf.subject.seeds:
            for path in shelf.files(seed):
                # Copies, not links: what somebody does to the site's file must not reach the kept one.
                shutil.copyfile(path, target / path.name)
                yield f"pictures/{shelf.subject.slug}/{path.name}", path.stat().st_size


def _copy_models(models: list[Made], folder: Path) -> Iterator[tuple[str, int]]:
    for made in models:
        if made.model and made.file:
            target = folder / made.model.path
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(made.file, target)
            yield made.model.path, made.model.size_bytes


def _keep_extras(place: Workplace, former: Manifest | None, files: dict[str, int]) -> list[str]:
    """Carry over what somebody else put into the site folder."""
    if former is None:
        return []
    kept = []
    for path in sorted(place.site.rglob("*")):
        name = path.relative_to(place.site).as_posix()
        if path.is_dir() or name in former.files or name in files or name == MANIFEST:
            continue
        target = place.staging / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target, follow_symlinks=False)
        kept.append(name)
    if not kept:
        return []
    names = ", ".join(kept[:4]) + (f" and {len(kept) - 4} more" if len(kept) > 4 else "")
    return [f"{place.site}: kept files that metagan didn't make: {names}; templates/static is a better home"]


def _fail_if_strict(order: Order, outcome: Outcome) -> None:
    if order.strict and outcome.warnings:
        msg = "warnings, and --strict was given:\n" + "\n".join(outcome.warnings)
        raise BuildError(msg)


def _tidy(place: Workplace, plan: Plan, models: list[Made]) -> None:
    """Remove finished pictures and generators that no longer are on the site."""
    kept = {made.file.name.partition(".")[0] for made in models if made.file}
    for path in (place.folder / "models").glob("*.*"):
        if path.name.partition(".")[0] not in kept:
            path.unlink()
    wanted: dict[Path, set[str]] = {}
    for shelf in plan.shelves:
        on_site = (path.name for seed in shelf.subject.seeds for path in shelf.files(seed))
        wanted.setdefault(shelf.folder, set()).update(on_site)
    shelves = place.folder / "pictures"
    for folder in shelves.iterdir() if shelves.is_dir() else ():
        if folder not in wanted:
            shutil.rmtree(folder, ignore_errors=True)
    for folder, names in wanted.items():
        for path in folder.iterdir():
            if path.name not in names:
                path.unlink()
    (place.folder / "begun.json").unlink(missing_ok=True)
