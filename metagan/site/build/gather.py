"""A build's options, and the inputs it gathers before drawing the first picture. Nothing here imports torch."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self, runtime_checkable

import metagan
import metagan.live
from metagan.errors import MetaganError, OptionError, Problem, RegistryError
from metagan.fetch.locate import locate_weights
from metagan.fetch.transfer import Transfer
from metagan.files import read_bytes, require_outside
from metagan.registry.models import Registry, Shards, Subject
from metagan.registry.read import find_subject, read_registry
from metagan.shards.manifest import RunManifest
from metagan.site.build.build_dir import BuildDir, digest_of, digest_of_folder, read_json, write_json
from metagan.site.build.collections import digest_of_collection
from metagan.site.build.picture_cache import PictureCache, picture_cache_for
from metagan.site.build.reals import digest_of_reals
from metagan.site.build.sharded import ShardedRun, adopted, choose_run, find_runs, with_singles
from metagan.site.pages.content import GeneratorFacts, UpscalerFacts
from metagan.site.pages.templates import default_templates_dir
from metagan.site.pages.text import check_corpus
from metagan.values import Size

_DRAW = "name the folder or address that `metagan sample --shards` had as --out"


@runtime_checkable
class Progress(Protocol):
    """Receives a build's progress."""

    def begin(self, what: str, total: int | None) -> None:
        """Begin a stage; `total` is in pictures, pages or bytes."""
        ...

    def advance(self, amount: int) -> None:
        """Advance the current stage by an amount."""
        ...

    def transfer(self, transfer: Transfer) -> None:
        """Report the progress of a download."""
        ...


@dataclass(frozen=True)
class BuildOptions:
    """What to build, and where.

    Args:
        registry: The registry.
        out: The site folder.
        subjects: Slugs to build; all of the registry's if empty.
        templates: A folder whose templates override metagan's own, or None.
        device: "auto", "cpu", "cuda", "mps".
        precision: "fp32", "bf16", "auto".
        offline: Don't download anything; use weights from the cache.
        strict: Treat warnings as errors.
        tidy: Remove cached pictures that aren't on this site. Unset if the site shows less than its registry.
        shards: Runs of shards with the pictures of those subjects that have one there, or None.
        most: Most pictures of a subject whose pictures come out of shards; None for all.
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
    shards: Shards | None = None
    most: int | None = None

    @classmethod
    def read(
        cls,
        registry: Path,
        out: Path,
        *,
        subjects: tuple[str, ...] = (),
        base_url: str | None = None,
        images: int | None = None,
        templates: Path | None = None,
        device: str = "auto",
        precision: str = "fp32",
        offline: bool = False,
        strict: bool = False,
        pictures: Path | str | None = None,
        pictures_url: str | None = None,
        layout: Literal["shards", "files"] | None = None,
    ) -> Self:
        """Read a registry file and apply what overrides it.

        Args:
            registry: The file. A folder templates/ beside it is used if `templates` is None.
            out: The site folder.
            subjects: Slugs to build; all of the registry's when empty.
            base_url: Overrides the registry's; checked by parse_base_url.
            images: Number of pictures per subject, overrides the registry's.
            templates: A folder whose templates override metagan's own.
            device: See the class.
            precision: See the class.
            offline: See the class.
            strict: See the class.
            pictures: Folder or address of runs of shards, overrides the registry's.
            pictures_url: Where browsers find it; checked by parse_base_url.
            layout: What becomes of its pictures, see Shards.

        Raises:
            RegistryError: If the file has problems.
            OptionError: If there are no such pictures.
        """
        read = read_registry(registry, images=images)
        if base_url is not None:
            read = dataclasses.replace(read, site=read.site.model_copy(update={"base_url": base_url}))
        beside = registry.absolute().parent / "templates"
        chosen = templates or (beside if beside.is_dir() else None)
        require_outside(out, chosen)
        return cls(
            registry=read,
            out=out,
            subjects=subjects,
            templates=chosen,
            device=device,
            precision=precision,
            offline=offline,
            strict=strict,
            tidy=images is None,
            shards=_shards(pictures, pictures_url, layout),
            most=images,
        )


def _shards(
    pictures: Path | str | None, url: str | None, layout: Literal["shards", "files"] | None
) -> Shards | None:
    """What the command line says of runs of shards."""
    if pictures is None:
        if option := "--pictures-url" if url else "--layout" if layout else "":
            raise OptionError(
                f"{option} belongs to --pictures",
                fix="give --pictures, too, or write it beside `run` in the registry",
            )
        return None
    if isinstance(pictures, Path) and not pictures.is_dir():
        raise OptionError("there is no such folder", where=f"--pictures {pictures}", fix=_DRAW)
    run = str(pictures.absolute() if isinstance(pictures, Path) else pictures)
    shards = Shards(run=run, layout=layout or "shards")
    return shards if url is None else shards.model_copy(update={"url": url})


@dataclass(frozen=True)
class BuildInputs:
    """Everything that a build needs, gathered before the first picture."""

    registry: Registry
    caches: list[PictureCache]
    facts: list[GeneratorFacts]
    fingerprint: str
    warnings: list[str]

    @property
    def count(self) -> int:
        """Number of pictures on the site."""
        return sum(cache.count for cache in self.caches)

    @property
    def sizes(self) -> list[Size]:
        """The size that each subject's generator draws at, before an upscaler."""
        return [Size(facts.width_px, facts.height_px) for facts in self.facts]


def gather(options: BuildOptions, build_dir: BuildDir, progress: Progress) -> BuildInputs:
    """Gather everything that a build needs: weights files, facts about them, and their cached pictures.

    Raises:
        RegistryError: If weights can't be fetched or read. The message names every such subject.
    """
    registry = _chosen(options)
    warnings: list[str] = []
    caches, facts, problems = [], [], []
    runs = _Runs(options)
    for subject in registry.subjects:
        key, seeds = "weights", None
        try:
            weights = locate_weights(subject.weights, offline=options.offline, progress=progress.transfer)
            known = _facts(build_dir, weights)
            key = "upscale"
            upscaler_weights, upscaler = _upscaler(options, build_dir, subject, known, progress)
            key = "shards"
            run = runs.of(subject, known.sha256, upscaler.sha256 if upscaler else None)
            key = "exclude"
            if run and not len(seeds := run.seeds(subject, options.most)):
                raise OptionError("all pictures of its run of shards are excluded", fix="exclude fewer")
        except MetaganError as error:
            if key == "shards" and subject.shards is None:
                raise  # the command line named the run
            problems.append(subject_problem(registry, subject, key, error))
            continue
        if run:
            shown = adopted(subject, run)
            if shown.upscale is None:
                upscaler_weights, upscaler = None, None
            if subject.text:
                warnings.append(f"{subject.slug}: pictures out of shards have no lines of text")
            if subject.exclude and run.layout == "shards":
                warnings.append(
                    f"{subject.slug}: excluded pictures are not shown, but stay in the shards, which anybody can read; "
                    "layout: files publishes without them"
                )
        caches.append(
            picture_cache_for(
                build_dir,
                with_singles(shown, seeds) if seeds is not None else subject,
                weights,
                known,
                site=registry.site,
                precision=options.precision,
                upscaler=upscaler,
                upscaler_weights=upscaler_weights,
                run=run,
                seeds=seeds,
            )
        )
        facts.append(known)
        warnings += _warnings_about(caches[-1].subject)
    if problems:
        raise RegistryError.of(problems)
    runs.require_use()
    registry = dataclasses.replace(registry, subjects=tuple(cache.subject for cache in caches))
    corpora = [read_bytes(s.text.corpus) for s in registry.subjects if s.text]
    fingerprint = digest_of(
        *(
            registry.site,
            registry.subjects,
            facts,
            [cache.upscaler for cache in caches],
            [(cache.run, cache.seeds) for cache in caches if cache.run],
            [digest_of_collection(subject, build_dir) for subject in registry.subjects],
            [digest_of_reals(subject, build_dir) for subject in registry.subjects],
            [_digest_of_dials(subject, build_dir) for subject in registry.subjects],
            [build_dir.sha256(locate_weights(s.encoder)) for s in registry.subjects if s.encoder],
            corpora,
            _digest_of_templates(options),
            _digest_of_code(),
        ),
        *(options.precision, os.environ.get("SOURCE_DATE_EPOCH")),
    )
    return BuildInputs(registry, caches, facts, fingerprint, warnings)


class _Runs:
    """Finds the runs of shards of subjects; looks at each place once."""

    def __init__(self, options: BuildOptions) -> None:
        self._shards = options.shards
        self._found: dict[str, list[tuple[str, RunManifest]]] = {}
        self._unused = options.shards is not None

    def of(self, subject: Subject, weights: str, upscaler: str | None) -> ShardedRun | None:
        """The run of a subject, by the SHA-256 of its generator's and its upscaler's files."""
        shards = self._shards or subject.shards
        if shards is None:
            return None
        if shards.run not in self._found:
            self._found[shards.run] = find_runs(shards.run)
        run = choose_run(subject, self._found[shards.run], weights, upscaler, shards)
        if run is None and self._shards is None:
            raise OptionError(
                f"no run there has pictures of this generator, sha256 {weights}",
                where=shards.run,
                fix=_DRAW,
            )
        self._unused &= run is None
        return run

    def require_use(self) -> None:
        """Refuse runs of none of the subjects."""
        if self._shards is not None and self._unused:
            raise OptionError(
                "no run there has pictures of a generator of the registry",
                where=self._shards.run,
                fix=f"{_DRAW}, or add a subject with its weights to the registry",
            )


def _digest_of_dials(subject: Subject, build_dir: BuildDir) -> str | None:
    """Hash a subject's directions file; None if it has none."""
    if subject.dials is None or subject.dials.file is None:
        return None
    return build_dir.sha256(locate_weights(subject.dials.file))


def _chosen(options: BuildOptions) -> Registry:
    if not options.subjects:
        return options.registry
    chosen = dict.fromkeys(find_subject(options.registry, slug) for slug in options.subjects)
    return dataclasses.replace(options.registry, subjects=tuple(chosen))


def _facts(build_dir: BuildDir, weights: Path) -> GeneratorFacts:
    """Return facts about a weights file, from the work folder if this file was opened before."""
    sha256 = build_dir.sha256(weights)
    remembered = build_dir.folder / "facts" / f"{sha256}.json"
    known = read_json(remembered)
    if known.keys() == {field.name for field in dataclasses.fields(GeneratorFacts)}:
        return GeneratorFacts(**known)
    from metagan.site.build.pictures import read_facts

    write_json(remembered, dataclasses.asdict(read_facts(weights, sha256)))
    return GeneratorFacts(**read_json(remembered))  # as the next build will read it: JSON has no tuples


def _upscaler(
    options: BuildOptions, build_dir: BuildDir, subject: Subject, facts: GeneratorFacts, progress: Progress
) -> tuple[Path | None, UpscalerFacts | None]:
    """Return a subject's upscaler and facts about its file, cached in the work folder like generators' facts."""
    if subject.upscale is None:
        return None, None
    weights = locate_weights(subject.upscale, offline=options.offline, progress=progress.transfer)
    sha256 = build_dir.sha256(weights)
    remembered = build_dir.folder / "facts" / f"{sha256}-{facts.width_px}x{facts.height_px}.json"
    known = read_json(remembered)
    if known.keys() != {field.name for field in dataclasses.fields(UpscalerFacts)}:
        from metagan.site.build.pictures import read_upscaler_facts

        known = dataclasses.asdict(read_upscaler_facts(weights, sha256, facts))
        write_json(remembered, known)
    return weights, UpscalerFacts(**known)


def subject_problem(registry: Registry, subject: Subject, key: str, error: MetaganError) -> Problem:
    """Make a problem from an error about one key of a subject; imports torch."""
    from metagan.site.build.preflight import problem_with

    return problem_with(registry, subject, key, error)


def _warnings_about(subject: Subject) -> Iterator[str]:
    if subject.licence == "unknown":
        yield f"{subject.slug}: its licence is unknown, and its page says so"
    if subject.text:
        yield from map(str, check_corpus(subject.text.corpus))


def _digest_of_templates(options: BuildOptions) -> str:
    folders = [default_templates_dir(), *([options.templates] if options.templates else [])]
    return digest_of(*(digest_of_folder(folder) for folder in folders))


def _digest_of_code() -> str:
    """Hash the package's code, so that a new version never reuses an old version's pages."""
    kernels = [digest_of_folder(metagan.live.KERNEL, kind) for kind in ("*.wasm", "**/*.wgsl")]
    return digest_of(digest_of_folder(Path(metagan.__file__).parent, "**/*.py"), *kernels)
