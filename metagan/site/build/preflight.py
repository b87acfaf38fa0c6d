"""Finds every problem that would stop a build, in registry, templates, texts and weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import ExportError, MetaganError, OptionError, Problem, RegistryError
from metagan.export.fold import fold
from metagan.fetch.locate import locate_weights
from metagan.fetch.transfer import Progress
from metagan.lab.dials import open_dials
from metagan.lab.encoder import open_encoder
from metagan.networks.generator import Generator
from metagan.networks.loading.detect import load_generator
from metagan.networks.upscaler import load_upscaler
from metagan.registry.models import Registry, Subject
from metagan.registry.read import find_place, read_registry
from metagan.registry.weights_ref import WeightsRef
from metagan.sampling.latents import labels, latents, one_hot
from metagan.site.build.collections import check_classifier, open_collection_of
from metagan.site.build.reals import open_reals
from metagan.site.build.sharded import find_runs
from metagan.site.pages.check import check_templates
from metagan.site.pages.text import check_corpus
from metagan.values import counted

_FIXES = {
    "weights": "use other weights; `metagan inspect` describes these",
    "upscale": "get another upscaler, or write `upscale: none`",
    "collection": "fetch the collection again",
    "reals": "pack the pictures again with `metagan dataset pack`",
    "traits": "train a classifier with `metagan collection traits`",
    "dials": "find its dials with `metagan directions`, or write `dials: auto`",
    "encoder": "train one with `metagan encoder`",
    "live": "write `live: auto`, or remove the key, to show prepared pictures",
}


@dataclass(frozen=True)
class PreflightReport:
    """The problems found.

    Args:
        registry: The registry; None if it has errors, and its weights and texts were then not checked.
        problems: Problems of the registry, then of templates, texts and weights.
    """

    registry: Registry | None
    problems: tuple[Problem, ...]


def preflight(
    registry: Path, templates: Path | None, *, offline: bool = False, progress: Progress | None = None
) -> PreflightReport:
    """Find every problem in a site's sources, without building it.

    Args:
        registry: The registry's file.
        templates: A folder of templates. If None, templates/ beside the registry is used if it exists.
        offline: Don't download anything.
        progress: Called with the state of downloads.
    """
    read: Registry | None = None
    problems: list[Problem] = []
    try:
        read = read_registry(registry)
    except RegistryError as error:
        problems += error.problems
    beside = registry.parent / "templates"
    folder = templates or (beside if beside.is_dir() else None)
    problems += check_templates(folder) if folder else []
    if read:
        problems += _in_texts(read)
        problems += _in_collections(read)
        problems += [] if offline else _in_runs(read)
        problems += problems_with_weights(read, offline=offline, progress=progress)
    return PreflightReport(read, tuple(problems))


def _in_texts(registry: Registry) -> Iterator[Problem]:
    for corpus in dict.fromkeys(subject.text.corpus for subject in registry.subjects if subject.text):
        yield from check_corpus(corpus)


def _in_collections(registry: Registry) -> Iterator[Problem]:
    for subject in registry.subjects:
        key = "collection"
        try:
            opened = open_collection_of(subject)
            key = "traits"
            if opened:
                check_classifier(opened)
            key = "reals"
            open_reals(subject)
        except MetaganError as error:
            yield problem_with(registry, subject, key, error)


def _in_runs(registry: Registry) -> Iterator[Problem]:
    for subject in registry.subjects:
        if subject.shards:
            try:
                find_runs(subject.shards.run)
            except MetaganError as error:
                yield problem_with(registry, subject, "shards", error)


def problems_with_weights(
    registry: Registry, *, offline: bool = False, progress: Progress | None = None
) -> Iterator[Problem]:
    """Yield problems of weights and of subjects' settings for them, with one generator in memory at a time."""
    users: dict[WeightsRef, list[Subject]] = {}
    for subject in registry.subjects:
        users.setdefault(subject.weights, []).append(subject)
    for ref, subjects in users.items():
        try:
            generator = load_generator(
                read_checkpoint(locate_weights(ref, offline=offline, progress=progress))
            )
        except MetaganError as error:
            for subject in subjects:
                yield problem_with(registry, subject, "weights", error)
        else:
            for subject in subjects:
                yield from _in_settings(registry, subject, generator)
                yield from _in_upscaler(registry, subject, generator, offline=offline, progress=progress)
                yield from _in_dials(registry, subject, generator)
                yield from _in_encoder(registry, subject, generator)


def _in_settings(registry: Registry, subject: Subject, generator: Generator) -> Iterator[Problem]:
    """Yield a subject's settings that its generator doesn't support."""
    chosen = subject.label_choice
    key = "class" if subject.label is None else "label"
    if not generator.c_dim and chosen is not None:
        error = OptionError(f"want no {key}; the generator is unconditional", fix="remove the key")
        yield problem_with(registry, subject, key, error)
    label = one_hot(0, generator.c_dim, 1)
    try:
        label = labels(generator, chosen, 1)
    except OptionError as error:
        yield problem_with(registry, subject, key, OptionError(error.what, fix=_label_fix(generator)))
    try:
        with torch.inference_mode():
            z = latents([0], generator.z_dim)
            generator.map_latents(z, label, psi=subject.psi)
    except OptionError as error:
        yield problem_with(registry, subject, "psi", error)
    if subject.live == "always":
        try:
            fold(generator, subject.noise)
        except ExportError as error:
            yield problem_with(registry, subject, "live", ExportError(error.what))


def _label_fix(generator: Generator) -> str:
    space = generator.label_space
    if space.is_numbers:
        return f"write for example `label: {','.join(f'{number:.3g}' for number in space.middle)}`"
    example = space.names[-1] if space.names else generator.c_dim - 1
    return f"write for example `class: {example}`"


def _in_upscaler(
    registry: Registry, subject: Subject, generator: Generator, *, offline: bool, progress: Progress | None
) -> Iterator[Problem]:
    """Yield problems of a subject's upscaler."""
    if subject.upscale is None:
        return
    try:
        load_upscaler(locate_weights(subject.upscale, offline=offline, progress=progress))
        if generator.image_channels != 3:
            raise OptionError(
                "upscalers enlarge RGB pictures, the generator's have "
                f"{counted(generator.image_channels, 'channel')}",
                fix="write `upscale: none`",
            )
    except MetaganError as error:
        yield problem_with(registry, subject, "upscale", error)


def _in_dials(registry: Registry, subject: Subject, generator: Generator) -> Iterator[Problem]:
    """Yield problems of a subject's directions file. Directions that the build will find aren't known yet."""
    if subject.dials is None or subject.dials.file is None:
        return
    try:
        open_dials(subject.dials, generator)
    except MetaganError as error:
        fix = None if error.fix is None else error.fix.partition(", or take them")[0]
        yield problem_with(registry, subject, "dials", type(error)(error.what, where=error.where, fix=fix))


def _in_encoder(registry: Registry, subject: Subject, generator: Generator) -> Iterator[Problem]:
    """Yield problems of a subject's encoder."""
    if subject.encoder is None:
        return
    try:
        open_encoder(
            locate_weights(subject.encoder), generator, label=subject.label_choice, noise=subject.noise
        )
    except MetaganError as error:
        yield problem_with(registry, subject, "encoder", error)


def problem_with(registry: Registry, subject: Subject, key: str, error: MetaganError) -> Problem:
    """Make a problem from an error about one key of a subject, with the key's place in the registry."""
    inside = "" if error.where is None else f"{error.where}: "
    return Problem(
        find_place(registry.path, ("subjects", subject.slug, key)),
        f"subjects.{subject.slug}.{key}: {inside}{error.what}",
        error.fix or _FIXES.get(key, "change it"),
    )
