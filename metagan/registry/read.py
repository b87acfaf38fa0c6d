"""Reads registry.yaml into a `Registry`, or reports all its problems at once."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

from metagan.errors import Location, OptionError, Problem, RegistryError
from metagan.registry.models import Registry, RegistryFile, Subject
from metagan.registry.problems import problems_of
from metagan.registry.tree import Place, Tree, dotted, read_tree
from metagan.registry.weights_ref import is_remote
from metagan.seeds import choose_seeds
from metagan.values import show

MAX_PICTURES = 2_000_000


def read_registry(path: Path, *, images: int | None = None) -> Registry:
    """Read and validate a registry.

    Checks that local files exist. Downloads nothing.

    Args:
        path: The file.
        images: Number of pictures per subject, in place of the file's `images`. Lists of seeds are cut to it.

    Raises:
        RegistryError: If the file has any problem; it contains all of them, in the order of lines.
    """
    tree = read_tree(path)
    folder = path.absolute().parent
    problems, entries = list(tree.problems), None
    try:
        entries = RegistryFile.model_validate(tree.value, context={"folder": folder})
        problems += _with_two_labels(entries, tree)
        problems += _without_seeds(entries, tree)
    except ValidationError as error:
        problems += problems_of(error, tree)
    problems += _without_hash(tree)
    problems += _without_companion(tree)
    if problems or entries is None:
        raise RegistryError.of(sorted(dict.fromkeys(problems), key=_line_and_column))
    subjects = (
        subject.completed(slug, entries.site, entries.defaults, images)
        for slug, subject in entries.subjects.items()
    )
    return Registry(path, entries.site, tuple(subjects))


def find_place(path: Path, place: Place) -> Location:
    """Find file, line and column of a value such as `("subjects", "cat", "weights")`, for messages.

    Raises:
        RegistryError: If the file can't be read.
    """
    return read_tree(path).where(place)


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
        f"there is no subject {show(slug)} in {registry.path}",
        fix=f"{hint}its subjects are: {', '.join(by_slug)}",
    )


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


# A key that needs another one beside it: the key, the other, and what that one says.
_COMPANIONS = (
    ("traits", "collection", "which says how rare traits are"),
    ("reals_licence", "reals", "whose licence this is"),
)


def _without_companion(tree: Tree) -> Iterator[Problem]:
    """Find subjects with a key that says nothing without another one."""
    subjects = tree.value.get("subjects") if isinstance(tree.value, dict) else None
    for slug, subject in subjects.items() if isinstance(subjects, dict) else ():
        for key, other, why in _COMPANIONS if isinstance(subject, dict) else ():
            if key in subject and other not in subject:
                place = ("subjects", slug, key)
                what = f"{dotted(place)}: want `{other}` beside it, {why}"
                yield Problem(tree.where(place, key=True), what, f"add `{other}`, or remove the key")


def _with_two_labels(entries: RegistryFile, tree: Tree) -> Iterator[Problem]:
    """Find subjects with a class and a label, of which only one can be drawn."""
    for slug, subject in entries.subjects.items():
        if subject.class_index is not None and subject.label is not None:
            place = ("subjects", slug, "label")
            what = f"{dotted(place)}: stands beside class"
            yield Problem(tree.where(place, key=True), what, "remove one of the two keys")


def _without_seeds(entries: RegistryFile, tree: Tree) -> Iterator[Problem]:
    """Find subjects whose pictures are all excluded, and registries with too many pictures."""
    total = 0
    for slug, subject in entries.subjects.items():
        images = subject.images if "images" in subject.model_fields_set else entries.defaults.images
        total += images if isinstance(images, int) else sum(map(len, images))
        if total > MAX_PICTURES:
            several = f"want at most {MAX_PICTURES:,} pictures in a registry"
            what = f"{several}, got {total:,} up to subjects.{slug}"
            yield Problem(
                tree.where(("subjects", slug), key=True), what, "lower images, or split the site in two"
            )
            return
        if not choose_seeds(images, subject.exclude):
            place = ("subjects", slug, "exclude")
            what = f"{dotted(place)}: want at least one picture to publish, but exclude contains all seeds of images"
            yield Problem(tree.where(place), what, "exclude fewer seeds, or add some to images")
