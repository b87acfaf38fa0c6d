"""Reads registry.yaml into a `Registry`, or reports all its problems at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from metagan.errors import Location, OptionError, Problem, RegistryError
from metagan.registry.entries import RegistryFile, SiteEntry, SubjectEntry
from metagan.registry.fields import NO_UPSCALER
from metagan.registry.models import Direction, Headline, Registry, Site, Subject, Text, Theme, WeightsRef
from metagan.registry.problems import problems_of
from metagan.registry.tree import Place, Tree, UnreadableError, dotted, read_tree
from metagan.registry.weights_ref import existing_file, is_remote, parse_weights
from metagan.seeds import choose_seeds

MAX_PICTURES = 2_000_000
# Languages written from right to left, and the scripts that a tag can name instead (ISO 639, ISO 15924).
RIGHT_TO_LEFT_LANGUAGES = re.compile("ar|arc|ckb|dv|fa|he|iw|ji|ks|nqo|ps|sd|syr|ug|ur|yi")
RIGHT_TO_LEFT_SCRIPTS = re.compile("adlm|arab|hebr|mand|nkoo|rohg|samr|syrc|thaa")


def read_registry(path: Path, *, images: int | None = None) -> Registry:
    """Read and validate a registry.

    Checks that local files exist. Downloads nothing.

    Args:
        path: The file.
        images: Number of pictures per subject, in place of the file's `images`. Lists of seeds are cut to it.

    Raises:
        RegistryError: If the file has any problem; it contains all of them, in the order of lines.
    """
    tree = _tree(path)
    folder = path.absolute().parent
    problems, entries = list(tree.problems), None
    try:
        entries = RegistryFile.model_validate(tree.value, context={"folder": folder})
        problems += _without_seeds(entries, tree)
    except ValidationError as error:
        problems += problems_of(error, tree)
    problems += _without_hash(tree)
    if problems or entries is None:
        raise RegistryError.of(sorted(dict.fromkeys(problems), key=_line_and_column))
    return _registry(path, entries, folder, images)


def find_place(path: Path, place: Place) -> Location:
    """Find file, line and column of a value such as `("subjects", "cat", "weights")`, for messages.

    Raises:
        RegistryError: If the file can't be read.
    """
    return _tree(path).where(place)


def find_subject(registry: Registry, slug: str) -> Subject:
    """Return the subject with a slug.

    Raises:
        OptionError: If there is none. The message suggests a similar slug and lists all of them.
    """
    by_slug = {subject.slug: subject for subject in registry.subjects}
    if slug in by_slug:
        return by_slug[slug]
    close = get_close_matches(slug.lower(), by_slug, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise OptionError(
        f"there is no subject {slug!r} in {registry.path}",
        fix=f"{hint}its subjects are: {', '.join(by_slug)}",
    )


def _tree(path: Path) -> Tree:
    try:
        return read_tree(path)
    except UnreadableError as error:
        raise RegistryError.of([error.problem]) from error


def _line_and_column(problem: Problem) -> tuple[int, int]:
    place = problem.where
    return (place.line or 0, place.column or 0) if isinstance(place, Location) else (0, 0)


def _without_hash(tree: Tree) -> Iterator[Problem]:
    """Find remote weights without a SHA-256, in the file's raw values, because validated ones may be missing."""
    subjects = tree.value.get("subjects") if isinstance(tree.value, dict) else None
    for slug, subject in subjects.items() if isinstance(subjects, dict) else ():
        for key, hash_key in (("weights", "sha256"), ("upscale", "upscale_sha256")):
            weights = subject.get(key) if isinstance(subject, dict) else None
            if not isinstance(weights, str) or not is_remote(weights) or hash_key in subject:
                continue
            place = ("subjects", slug)
            what = f"{dotted((*place, hash_key))}: missing; weights that are downloaded need their SHA-256"
            fix = "paste the publisher's SHA-256, or download the file and run `metagan inspect` on it"
            yield Problem(tree.where((*place, key)), what, fix)


def _without_seeds(entries: RegistryFile, tree: Tree) -> Iterator[Problem]:
    """Find subjects whose pictures are all excluded, and registries with too many pictures."""
    total = 0
    for slug, subject in entries.subjects.items():
        images = subject.images if subject.images is not None else entries.defaults.images
        total += images if isinstance(images, int) else sum(map(len, images))
        if total > MAX_PICTURES:
            what = f"want at most {MAX_PICTURES:,} pictures in a registry, got more with subjects.{slug}"
            yield Problem(
                tree.where(("subjects", slug), key=True), what, "lower images, or split the site in two"
            )
            return
        if not choose_seeds(images, subject.exclude):
            place = ("subjects", slug, "exclude")
            what = f"{dotted(place)}: want at least one picture to publish, but exclude contains all seeds of images"
            yield Problem(tree.where(place), what, "exclude fewer seeds, or add some to images")


def _registry(path: Path, entries: RegistryFile, folder: Path, images: int | None) -> Registry:
    site = entries.site
    theme = Theme(site.theme.accent.lower(), site.theme.accent_dark.lower())
    return Registry(
        path=path,
        site=Site(
            site.title,
            site.base_url,
            site.description,
            site.author,
            theme,
            site.picture_pages,
            _headline(site),
        ),
        subjects=tuple(
            _subject(slug, entry, entries, folder, images) for slug, entry in entries.subjects.items()
        ),
    )


def _subject(
    slug: str, entry: SubjectEntry, entries: RegistryFile, folder: Path, images: int | None
) -> Subject:
    def chosen(name: str) -> Any:
        own = getattr(entry, name)
        return getattr(entries.defaults, name) if own is None else own

    return Subject(
        slug=slug,
        title=entry.title,
        weights=parse_weights(entry.weights, folder, entry.sha256),
        licence=entry.licence,
        source=entry.source,
        seeds=_seeds(chosen("images"), entry.exclude, images),
        psi=float(chosen("psi")),
        class_index=entry.class_index,
        noise=chosen("noise"),
        format=chosen("format"),
        text=Text(existing_file(entry.text.corpus, folder)) if entry.text else None,
        live=chosen("live"),
        headline=_headline(entries.site, entry),
        upscale=_upscale(entry, folder),
    )


def _headline(site: SiteEntry, subject: SubjectEntry | None = None) -> Headline:
    """A subject's headline, or the site's; what isn't said follows from what is."""
    known = Headline()
    for entry in (site, subject):
        if entry is None:
            continue
        if entry.headline is not None and entry.headline != known.text:
            known = replace(known, text=entry.headline, named=f"{{name}}: {entry.headline}")
        if entry.named_headline is not None:
            known = replace(known, named=entry.named_headline)
        if entry.lang is not None and entry.lang != known.lang:
            known = replace(known, lang=entry.lang, dir=direction_of(entry.lang))
        if entry.dir is not None:
            known = replace(known, dir=entry.dir)
    return known


def direction_of(lang: str) -> Direction:
    """The direction in which a language is written, unless its tag names a script."""
    first, *others = lang.lower().split("-")
    script = next((part for part in others if len(part) == 4 and part.isalpha()), None)
    turned = RIGHT_TO_LEFT_SCRIPTS.fullmatch(script) if script else RIGHT_TO_LEFT_LANGUAGES.fullmatch(first)
    return "rtl" if turned else "ltr"


def _upscale(entry: SubjectEntry, folder: Path) -> WeightsRef | None:
    if entry.upscale is None or entry.upscale == NO_UPSCALER:
        return None
    return parse_weights(entry.upscale, folder, entry.upscale_sha256)


def _seeds(
    chosen: int | tuple[range, ...], exclude: tuple[range, ...], images: int | None
) -> tuple[int, ...]:
    if images is None:
        return choose_seeds(chosen, exclude)
    return choose_seeds(images if isinstance(chosen, int) else chosen, exclude)[:images]
