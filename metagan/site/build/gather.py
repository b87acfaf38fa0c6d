"""What a build is asked for, and what it has gathered before it draws the first picture. No torch here."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import metagan
import metagan.live
from metagan.fetch.locate import locate_weights
from metagan.fetch.transfer import Transfer
from metagan.errors import MetaganError, Problem, RegistryError
from metagan.registry.models import Registry, Subject
from metagan.registry.read import find_subject
from metagan.site.pages.content import GeneratorFacts, UpscalerFacts
from metagan.site.build.picture_cache import Shelf, shelf_for
from metagan.site.build.build_dir import Workplace, digest_of, digest_of_folder, read_json, write_json
from metagan.site.pages.templates import default_templates_dir
from metagan.site.pages.text import check_corpus


@runtime_checkable
class Progress(Protocol):
    """Hears how a build gets on."""

    def begin(self, what: str, total: int | None) -> None:
        """A stage begins; `total` is in pictures, pages or bytes."""
        ...

    def advance(self, amount: int) -> None:
        """Advance the current stage by an amount."""
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
        precision: "fp32", "bf16", "auto".
        offline: Don't download anything; use weights from the cache.
        strict: Turn warnings into failure.
        tidy: Remove finished pictures that aren't on this site; not for one that shows less than its registry.
    """

    registry: Registry
    out: Path
    subjects: tuple[str, ...] = ()
    templates: Path | None = None
    device: str = "auto"
    precision: str = "fp32"
    offline: bool = False
    strict: bool = False
    tidy: bool = True


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


def gather(order: Order, place: Workplace, progress: Progress) -> Plan:
    """Everything that a build needs: weights at hand, what they hold, and where their pictures stand.

    Raises:
        RegistryError: Weights can't be had or read; names every such subject.
    """
    registry = _chosen(order)
    warnings: list[str] = []
    shelves, facts, problems = [], [], []
    for subject in registry.subjects:
        try:
            weights = locate_weights(subject.weights, offline=order.offline, progress=progress.transfer)
            known = _facts(place, weights)
        except MetaganError as error:
            problems.append(_problem(registry, subject, "weights", error))
            continue
        try:
            upscaler_weights, upscaler = _upscaler(order, place, subject, known, progress)
        except MetaganError as error:
            problems.append(_problem(registry, subject, "upscale", error))
            continue
        shelves.append(
            shelf_for(
                place,
                subject,
                weights,
                known,
                pages=registry.site.picture_pages,
                precision=order.precision,
                upscaler=upscaler,
                upscaler_weights=upscaler_weights,
            )
        )
        facts.append(known)
        warnings += _warnings_about(subject)
    if problems:
        raise RegistryError.of(problems)
    corpora = [s.text.corpus.read_bytes() for s in registry.subjects if s.text]
    fingerprint = digest_of(
        *(
            registry.site,
            registry.subjects,
            facts,
            [shelf.upscaler for shelf in shelves],
            corpora,
            _digest_of_templates(order),
            _digest_of_code(),
        ),
        *(order.precision, os.environ.get("SOURCE_DATE_EPOCH")),
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
    from metagan.site.build.pictures import read_facts

    write_json(remembered, dataclasses.asdict(read_facts(weights, sha256)))
    return GeneratorFacts(**read_json(remembered))  # as the next build will see it: JSON knows no tuples


def _upscaler(
    order: Order, place: Workplace, subject: Subject, facts: GeneratorFacts, progress: Progress
) -> tuple[Path | None, UpscalerFacts | None]:
    """A subject's upscaler and what its file holds; remembered in the work folder, as generators' facts are."""
    if subject.upscale is None:
        return None, None
    weights = locate_weights(subject.upscale, offline=order.offline, progress=progress.transfer)
    sha256 = place.sha256(weights)
    remembered = place.folder / "facts" / f"{sha256}-{facts.width_px}.json"
    known = read_json(remembered)
    if known.keys() != {field.name for field in dataclasses.fields(UpscalerFacts)}:
        from metagan.site.build.pictures import read_upscaler_facts

        known = dataclasses.asdict(read_upscaler_facts(weights, sha256, facts))
        write_json(remembered, known)
    return weights, UpscalerFacts(**known)


def _problem(registry: Registry, subject: Subject, key: str, error: MetaganError) -> Problem:
    from metagan.site.build.preflight import problem_with

    return problem_with(registry, subject, key, error)


def _warnings_about(subject: Subject) -> Iterator[str]:
    if subject.licence == "unknown":
        yield f"{subject.slug}: its licence is unknown, and its page says so"
    if subject.text:
        yield from map(str, check_corpus(subject.text.corpus))


def _digest_of_templates(order: Order) -> str:
    folders = [default_templates_dir(), *([order.templates] if order.templates else [])]
    return digest_of(*(digest_of_folder(folder) for folder in folders))


def _digest_of_code() -> str:
    """Changes with any line of the package, so that a new version never serves an old version's pages."""
    kernels = digest_of_folder(metagan.live.KERNEL, "*.wasm")
    return digest_of(digest_of_folder(Path(metagan.__file__).parent, "**/*.py"), kernels)
