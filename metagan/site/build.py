"""The build: gather, draw, render, check, and swap the finished site in.

Nothing of the former site is touched until the next one is whole. Torch is imported only when a picture is missing.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import metagan
from metagan.checkpoints.fetch import locate_weights
from metagan.checkpoints.transfer import Transfer
from metagan.errors import BuildError, Problem
from metagan.registry.models import Registry, Subject
from metagan.registry.read import find_subject
from metagan.site.content import Collection, GeneratorFacts, Picture, SiteContent
from metagan.site.links import check_links
from metagan.site.render import render_site
from metagan.site.shelf import Shelf, shelf_for
from metagan.site.state import (
    MANIFEST,
    Manifest,
    Workplace,
    digest_of,
    digest_of_folder,
    read_json,
    write_json,
)
from metagan.site.swap import swap_in
from metagan.site.templates import default_templates_dir
from metagan.site.text import check_corpus, line_for, read_corpus


@runtime_checkable
class Progress(Protocol):
    """Hears how a build gets on."""

    def begin(self, what: str, total: int | None) -> None:
        """A stage begins; `total` is in pictures, pages or bytes."""
        ...

    def advance(self, amount: int) -> None:
        """So much more of the stage is done."""
        ...

    def transfer(self, transfer: Transfer) -> None:
        """A download got on."""
        ...


@dataclass(frozen=True)
class Order:
    """What to build, and where.

    Args:
        registry: The registry, read.
        out: The site folder.
        subjects: Slugs to build; all of the registry's when empty.
        templates: A folder whose templates win over metagan's own, or None.
        device: "auto", "cpu", "cuda", "mps".
        offline: Take remote weights from the cache only.
        strict: Turn warnings into failure.
    """

    registry: Registry
    out: Path
    subjects: tuple[str, ...] = ()
    templates: Path | None = None
    device: str = "auto"
    offline: bool = False
    strict: bool = False


@dataclass
class Outcome:
    """What a build did.

    Args:
        out: The site folder.
        subjects: How many subjects the site has.
        pictures: How many pictures it has.
        drawn: How many of them were made in this build.
        files: How many files it has.
        unchanged: Whether there was nothing to do.
        warnings: What its author should know.
    """

    out: Path
    subjects: int = 0
    pictures: int = 0
    drawn: int = 0
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
        plan = _gather(order, place, progress)
        outcome = Outcome(order.out, len(plan.shelves), plan.count, warnings=plan.warnings)
        if former and former.fingerprint == plan.fingerprint and former.is_whole(place.site):
            outcome.unchanged, outcome.files, outcome.warnings = True, len(former.files), former.warnings
            _fail_if_strict(order, outcome)
            return outcome
        outcome.drawn = _draw(plan, order.device, progress)
        files = _stage(plan, place, order, former, outcome, progress)
        _fail_if_strict(order, outcome)
        Manifest(plan.fingerprint, files, outcome.warnings).write(place.staging)
        swap_in(place.staging, place.site)
        _tidy(place, plan)
        outcome.files = len(files)
        return outcome


# --------------------------------------------------------------------------------------------
# Gather


@dataclass(frozen=True)
class Plan:
    """Everything that a build needs, gathered before the first picture."""

    registry: Registry
    shelves: list[Shelf]
    facts: list[GeneratorFacts]
    fingerprint: str
    warnings: list[str]

    @property
    def count(self) -> int:
        """How many pictures the site has."""
        return sum(len(shelf.subject.seeds) for shelf in self.shelves)


def _gather(order: Order, place: Workplace, progress: Progress) -> Plan:
    registry = _chosen(order)
    warnings: list[str] = []
    shelves, facts = [], []
    for subject in registry.subjects:
        weights = locate_weights(subject.weights, offline=order.offline, progress=progress.transfer)
        known = _facts(place, weights)
        shelves.append(shelf_for(place, subject, weights, known, pages=registry.site.picture_pages))
        facts.append(known)
        warnings += _warnings_about(subject, known)
    corpora = [s.text.corpus.read_bytes() for s in registry.subjects if s.text]
    fingerprint = digest_of(
        *(registry.site, registry.subjects, facts, corpora, _digest_of_templates(order), _digest_of_code()),
        *(os.environ.get("SOURCE_DATE_EPOCH"),),
    )
    return Plan(registry, shelves, facts, fingerprint, warnings)


def _chosen(order: Order) -> Registry:
    if not order.subjects:
        return order.registry
    chosen = dict.fromkeys(find_subject(order.registry, slug) for slug in order.subjects)
    return dataclasses.replace(order.registry, subjects=tuple(chosen))


def _facts(place: Workplace, weights: Path) -> GeneratorFacts:
    """What the weights hold; from the work folder when this very file was opened before."""
    sha256 = place.sha256(weights)
    remembered = place.folder / "facts" / f"{sha256}.json"
    known = read_json(remembered)
    if known.keys() == {field.name for field in dataclasses.fields(GeneratorFacts)}:
        return GeneratorFacts(**known)
    from metagan.site.pictures import read_facts

    write_json(remembered, dataclasses.asdict(read_facts(weights, sha256)))
    return GeneratorFacts(**read_json(remembered))  # as the next build will see it: JSON knows no tuples


def _warnings_about(subject: Subject, facts: GeneratorFacts) -> Iterator[str]:
    if subject.licence == "unknown":
        yield f"{subject.slug}: its licence is unknown, and its page says so"
    if subject.text:
        yield from map(str, check_corpus(subject.text.corpus))
    if subject.class_index is not None and not facts.classes:
        yield f"{subject.slug}: class {subject.class_index} is ignored, its generator has no classes"


def _digest_of_templates(order: Order) -> str:
    folders = [default_templates_dir(), *([order.templates] if order.templates else [])]
    return digest_of(*(digest_of_folder(folder) for folder in folders))


def _digest_of_code() -> str:
    """Changes with any line of the package, so that a new version never serves an old version's pages."""
    return digest_of_folder(Path(metagan.__file__).parent, "**/*.py")


# --------------------------------------------------------------------------------------------
# Draw, render, check


def _draw(plan: Plan, device: str, progress: Progress) -> int:
    missing = sum(len(shelf.missing()) for shelf in plan.shelves)
    if not missing:
        return 0
    from metagan.site.pictures import make_missing

    progress.begin("pictures", missing)
    return sum(make_missing(shelf, device, progress.advance) for shelf in plan.shelves)


def _stage(
    plan: Plan, place: Workplace, order: Order, former: Manifest | None, outcome: Outcome, progress: Progress
) -> dict[str, int]:
    """Put the next site together; returns its files with their sizes."""
    shutil.rmtree(place.staging, ignore_errors=True)
    place.staging.mkdir(parents=True)
    content = _content(plan, place)
    try:
        progress.begin("pages", None)
        files = dict(_write_pages(render_site(content, order.templates), place.staging, progress.advance))
        files |= _link_pictures(plan, place.staging)
    except OSError as error:
        msg = f"{error.filename or place.staging}: {error.strerror}; the former site is untouched"
        raise BuildError(msg) from error
    problems: list[Problem] = check_links(place.staging, content.site.base_url)
    outcome.warnings += [str(problem) for problem in problems]
    outcome.warnings += _keep_extras(place, former, files)
    return files


def _content(plan: Plan, place: Workplace) -> SiteContent:
    collections = tuple(
        Collection(shelf.subject, facts, tuple(_pictures(shelf)))
        for shelf, facts in zip(plan.shelves, plan.facts, strict=True)
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


def _link_pictures(plan: Plan, folder: Path) -> Iterator[tuple[str, int]]:
    for shelf in plan.shelves:
        target = folder / "pictures" / shelf.subject.slug
        target.mkdir(parents=True)
        for seed in shelf.subject.seeds:
            for path in shelf.files(seed):
                _link(path, target / path.name)
                yield f"pictures/{shelf.subject.slug}/{path.name}", path.stat().st_size


def _link(source: Path, target: Path) -> None:
    """Give a finished file a second name, or a copy where the file system has no hard links."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


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


def _tidy(place: Workplace, plan: Plan) -> None:
    """Remove finished pictures that no longer are on the site."""
    keys = {shelf.folder.name for shelf in plan.shelves}
    shelves = place.folder / "pictures"
    for folder in shelves.iterdir() if shelves.is_dir() else ():
        if folder.name not in keys:
            shutil.rmtree(folder, ignore_errors=True)
    for shelf in plan.shelves:
        wanted = {path.name for seed in shelf.subject.seeds for path in shelf.files(seed)}
        for path in shelf.folder.iterdir():
            if path.name not in wanted:
                path.unlink()
    (place.folder / "begun.json").unlink(missing_ok=True)
