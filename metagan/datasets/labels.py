"""Sources of labels: sub-folders, a CSV file, or the dataset.json next to the pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metagan.datasets.archive import FACTS_NAME, LABELS_NAME, LabelValue
from metagan.datasets.store import PACK_AGAIN, Store, read_json
from metagan.errors import DatasetError, Location, Problem

# --------------------------------------------------------------------------------------------
# Dataset.json's labels, checked against the pictures, as vectors.

MAX_LABELS = 100_000
_WANT = 'want {"labels": [["00000/img00000000.png", 6], ...]} or {"labels": null}'
_SHOWN = 5


@dataclass(frozen=True)
class LabelTable:
    """The labels of all pictures.

    Args:
        values: Label numbers, [pictures], or label vectors, [pictures, width].
        width: Length of a label vector.
    """

    values: NDArray[np.int64] | NDArray[np.float32]
    width: int

    def vector(self, index: int) -> NDArray[np.float32]:
        """Return the label of picture `index`, [width]: one-hot if labels are numbers."""
        value = self.values[index]
        if self.values.ndim == 2:
            return np.array(value, np.float32)
        vector = np.zeros(self.width, np.float32)
        vector[int(value)] = 1
        return vector

    def counts(self) -> NDArray[np.int64]:
        """Count the pictures of each label number, [width]. Vectors count for their largest element."""
        numbers = self.values.argmax(1) if self.values.ndim == 2 else self.values
        return np.bincount(numbers.astype(np.int64), minlength=self.width)


def read_label_table(document: Mapping[str, Any], names: Sequence[str], where: str) -> LabelTable | None:
    """Read the labels of pictures, in the order of `names`, or return None if the dataset has no labels.

    Args:
        document: The content of dataset.json.
        names: The pictures' names.
        where: The dataset and the file, for messages.

    Raises:
        DatasetError: If the document has another structure, pictures have no label, or labels differ in kind.
    """
    pairs = document.get("labels")
    if pairs is None:
        return None
    labels = labels_by_name(pairs, where)
    missing = [name for name in names if name not in labels]
    if missing:
        shown = ", ".join(missing[:_SHOWN])
        raise DatasetError(
            f"{len(missing)} of {len(names)} pictures have no label ({shown}); {_WANT}",
            where=where,
            fix=PACK_AGAIN,
        )
    return _table([labels[name] for name in names], where)


def labels_by_name(pairs: Any, where: str) -> dict[str, Any]:
    """Convert dataset.json's list of [name, label] to a mapping. Raises DatasetError if it has another structure."""
    if not isinstance(pairs, list):
        raise DatasetError(f"labels: got {type(pairs).__name__}; {_WANT}", where=where, fix=PACK_AGAIN)
    labels = {}
    for index, pair in enumerate(pairs):
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)):
            raise DatasetError(
                f"labels[{index}]: got {str(pair)[:60]!r}; {_WANT}", where=where, fix=PACK_AGAIN
            )
        labels[pair[0].replace("\\", "/")] = pair[1]
    return labels


def _table(values: list[Any], where: str) -> LabelTable:
    if all(type(value) is int and 0 <= value < MAX_LABELS for value in values):
        return LabelTable(np.array(values, np.int64), max(values) + 1)
    if all(isinstance(value, list) and value and _all_numbers(value) for value in values):
        widths = {len(value) for value in values}
        if len(widths) == 1:
            return LabelTable(np.array(values, np.float32), widths.pop())
    raise DatasetError(
        f"labels: want whole numbers from 0 to {MAX_LABELS - 1}, or lists of numbers of one length",
        where=where,
        fix=PACK_AGAIN,
    )


def _all_numbers(value: list[Any]) -> bool:
    return all(type(number) in (int, float) and abs(number) < 1e30 for number in value)


RawLabel = str | LabelValue
_HEADINGS = frozenset({"file", "filename", "file_name", "name", "path", "image", "picture"})


@dataclass(frozen=True)
class Labelling:
    """Assigns labels to pictures.

    Args:
        find: Returns the label of a picture by its name, or None, in which case the picture is skipped.
        missing: The reason for skipping a picture without a label.
        unused: Names with a label that are not pictures.
    """

    find: Callable[[str], RawLabel | None]
    missing: str
    unused: tuple[str, ...] = ()


def choose_labelling(how: str, store: Store, pictures: Sequence[str]) -> Labelling | None:
    """Return the labelling for `--labels`, or None for no labels.

    Args:
        how: "none", "folders", "auto" for the dataset.json among the pictures, if any, or a CSV file's path.
        store: The folder or zip of the pictures.
        pictures: The pictures' names.

    Raises:
        DatasetError: If the CSV does not exist, its lines are not "file,label", or no label is for a picture.
    """
    if how == "none":
        return None
    if how == "auto":
        return _from_dataset_json(store, pictures) if LABELS_NAME in store.names() else None
    if how == "folders":
        return _from_folders(store, pictures)
    return _from_csv(Path(how), pictures)


def number_labels(labels: Sequence[RawLabel]) -> tuple[list[LabelValue], list[str]]:
    """Convert raw labels to those of dataset.json, with the names of labels 0, 1, ...

    If all texts are whole numbers, they are kept as numbers. Other texts are numbered in alphabetical order.
    Numbers and vectors have no names.
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
        raise DatasetError(
            "--labels folders: no picture is in a sub-folder",
            where=store.path,
            fix="put the pictures of each label into a folder with its name, or use a CSV file",
        )
    return Labelling(labels.get, "not in a sub-folder, so it has no label")


def _from_dataset_json(store: Store, pictures: Sequence[str]) -> Labelling | None:
    document = read_json(store, LABELS_NAME)
    if document.get("labels") is None:
        return None
    where = f"{store.path}: {LABELS_NAME}"
    known = labels_by_name(document["labels"], where)
    labelled = [name for name in pictures if name in known]
    if not labelled:
        raise DatasetError(
            "none of its labels is for a picture here",
            where=where,
            fix="correct it, or use --labels none",
        )
    table = read_label_table(document, labelled, where)
    values: list[LabelValue] = table.values.tolist() if table else []
    labels: dict[str, RawLabel] = dict(zip(labelled, _named(values, store), strict=True))
    return Labelling(labels.get, f"not in {LABELS_NAME}")


def _named(values: list[LabelValue], store: Store) -> Sequence[RawLabel]:
    # A dataset packed by metagan contains the names of its label numbers.
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
        raise DatasetError(
            f"none of its {len(rows)} lines matches a picture (the first: {rows[0][0]!r})",
            where=path,
            fix=f"write a picture's path, such as {pictures[0]!r}, then its label",
        )
    return Labelling(labels.get, f"no label in {path.name}", tuple(unused))


def _names(pictures: Sequence[str]) -> Mapping[str, str]:
    # A line may have a picture's path, or its bare name if that is unique.
    bare: dict[str, str | None] = {}
    for name in pictures:
        last = PurePosixPath(name).name
        bare[last] = None if last in bare else name
    return {last: name for last, name in bare.items() if name is not None} | {name: name for name in pictures}


def _read_rows(path: Path) -> list[tuple[str, str]]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"--labels {path}: can't be read ({error})", fix="use none, auto, folders or a readable CSV file"
        ) from error
    try:
        rows = [(number, row) for number, row in enumerate(csv.reader(io.StringIO(text)), 1) if any(row)]
    except csv.Error as error:
        raise DatasetError(
            f"not a CSV file ({error})", where=path, fix="write lines of file,label"
        ) from error
    wrong = [
        Problem(Location(str(path), number), f"want file,label, got {','.join(row)[:60]!r}")
        for number, row in rows
        if len(row) < 2
    ]
    if wrong:
        more = f", and {len(wrong) - 10} more lines" if len(wrong) > 10 else ""
        shown = wrong[:10]
        shown[-1] = replace(
            shown[-1], what=shown[-1].what + more, fix="write a picture's path, a comma and its label"
        )
        raise DatasetError.of(shown)
    if rows and rows[0][1][0].strip().lower() in _HEADINGS:
        del rows[0]
    if not rows:
        raise DatasetError("it has no lines of file,label", where=path, fix="write one for each picture")
    return [(row[0], row[1]) for _, row in rows]
