"""Where a picture's label comes from: its sub-folder, a CSV file, or the dataset.json that it came with."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from metagan.datasets.archive import FACTS_NAME, LABELS_NAME, LabelValue
from metagan.datasets.label_table import labels_by_name, read_label_table
from metagan.datasets.store import Store, read_json
from metagan.errors import DatasetError

RawLabel = str | LabelValue
_HEADINGS = frozenset({"file", "filename", "file_name", "name", "path", "image", "picture"})


@dataclass(frozen=True)
class Labelling:
    """Gives pictures their labels.

    Args:
        find: A picture's label by its name; None when it has none, which leaves the picture out.
        missing: Why a picture without a label is left out.
        unused: Labelled names that are no picture.
    """

    find: Callable[[str], RawLabel | None]
    missing: str
    unused: tuple[str, ...] = ()


def choose_labelling(how: str, store: Store, pictures: Sequence[str]) -> Labelling | None:
    """The labelling that `--labels` asks for; None for no labels.

    Args:
        how: "none", "folders", "auto" for the dataset.json among the pictures, if any, or a CSV file's path.
        store: Where the pictures are.
        pictures: The pictures' names.

    Raises:
        DatasetError: There is no such CSV, its lines are not "file,label", or the labels fit no picture.
    """
    if how == "none":
        return None
    if how == "auto":
        return _from_dataset_json(store, pictures) if LABELS_NAME in store.names() else None
    if how == "folders":
        return _from_folders(store, pictures)
    return _from_csv(Path(how), pictures)


def number_labels(labels: Sequence[RawLabel]) -> tuple[list[LabelValue], list[str]]:
    """Raw labels as dataset.json stores them, and the names of numbers 0, 1, ...; no names for numbers and vectors.

    Texts that are all whole numbers keep their numbers; others are numbered in alphabetical order.
    """
    texts = [label for label in labels if isinstance(label, str)]
    if len(texts) < len(labels):
        return [label for label in labels if not isinstance(label, str)], []
    if all(text.isascii() and text.isdigit() and len(text) < 6 for text in texts):
        return [int(text) for text in texts], []
    names = sorted(set(texts))
    number = {name: index for index, name in enumerate(names)}
    return [number[text] for text in texts], names


def _from_folders(store: Store, pictures: Sequence[str]) -> Labelling:
    labels = {name: PurePosixPath(name).parts[0] for name in pictures if "/" in name}
    if not labels:
        msg = f"{store.path}: --labels folders: no picture is in a sub-folder"
        raise DatasetError(f"{msg}; put each label's pictures in a folder named after it, or give a CSV file")
    return Labelling(labels.get, "in no sub-folder, so it has no label")


def _from_dataset_json(store: Store, pictures: Sequence[str]) -> Labelling | None:
    document = read_json(store, LABELS_NAME)
    if document.get("labels") is None:
        return None
    where = f"{store.path}: {LABELS_NAME}"
    known = labels_by_name(document["labels"], where)
    labelled = [name for name in pictures if name in known]
    if not labelled:
        raise DatasetError(
            f"{where}: none of its labels is for a picture here; mend it, or add --labels none"
        )
    table = read_label_table(document, labelled, where)
    values: list[LabelValue] = table.values.tolist() if table else []
    labels: dict[str, RawLabel] = dict(zip(labelled, _named(values, store), strict=True))
    return Labelling(labels.get, f"not in {LABELS_NAME}")


def _named(values: list[LabelValue], store: Store) -> Sequence[RawLabel]:
    # A dataset that metagan packed says what its numbers mean.
    names = read_json(store, FACTS_NAME).get("label_names") if FACTS_NAME in store.names() else None
    numbers = [value for value in values if isinstance(value, int)]
    if not isinstance(names, list) or len(numbers) < len(values) or max(numbers) >= len(names):
        return values
    return [str(names[number]) for number in numbers]


def _from_csv(path: Path, pictures: Sequence[str]) -> Labelling:
    rows = _read_rows(path)
    by_name = _names(pictures)
    labels: dict[str, RawLabel] = {}
    unused = []
    for given, label in rows:
        name = by_name.get(given.strip().replace("\\", "/").removeprefix("./"))
        if name is None:
            unused.append(given)
        else:
            labels[name] = label.strip()
    if not labels:
        msg = f"{path}: none of its {len(rows)} lines names a picture (the first names {rows[0][0]!r})"
        raise DatasetError(f"{msg}; want a picture's path, such as {pictures[0]!r}, then its label")
    return Labelling(labels.get, f"no label in {path.name}", tuple(unused))


def _names(pictures: Sequence[str]) -> Mapping[str, str]:
    # A picture may be called by its path, or by its bare name where no two share it.
    bare: dict[str, str | None] = {}
    for name in pictures:
        last = PurePosixPath(name).name
        bare[last] = None if last in bare else name
    return {last: name for last, name in bare.items() if name is not None} | {name: name for name in pictures}


def _read_rows(path: Path) -> list[tuple[str, str]]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"--labels {path}: want none, auto, folders or a readable CSV file ({error})"
        raise DatasetError(msg) from error
    try:
        rows = [(number, row) for number, row in enumerate(csv.reader(io.StringIO(text)), 1) if any(row)]
    except csv.Error as error:
        raise DatasetError(f"{path}: not a CSV file ({error}); want lines of file,label") from error
    wrong = [
        f"{path}:{number}: want file,label, got {','.join(row)[:60]!r}"
        for number, row in rows
        if len(row) < 2
    ]
    if wrong:
        more = [f"and {len(wrong) - 10} more lines"] if len(wrong) > 10 else []
        raise DatasetError("\n".join(wrong[:10] + more))
    if rows and rows[0][1][0].strip().lower() in _HEADINGS:
        del rows[0]
    if not rows:
        raise DatasetError(f"{path}: no lines of file,label; write one for each picture")
    return [(row[0], row[1]) for _, row in rows]
