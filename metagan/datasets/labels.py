"""Sources of labels: sub-folders, a CSV file, or the dataset.json next to the pictures."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metagan.datasets.archive import FACTS_NAME, LABELS_NAME, NAMES_KEY, LabelValue
from metagan.datasets.store import MEND, Layout, Store, UnreadableError, plain_name, read_json
from metagan.errors import DatasetError, Location, Problem
from metagan.files import real_path, reason_of
from metagan.values import counted, printable, show, text_of

# --------------------------------------------------------------------------------------------
# Dataset.json's labels, checked against the pictures, as vectors.

MAX_LABELS = 100_000
MAX_NAMES_CHARACTERS = 1_000_000  # they go into the header of every weights file
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

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """Least and greatest value of each number of the labels; empty if they are classes, also as one-hot vectors."""
        if self.values.ndim == 1 or self._is_one_hot:
            return ()
        ends = zip(self.values.min(0).tolist(), self.values.max(0).tolist(), strict=True)
        return tuple((float(f"{least:.7g}"), float(f"{most:.7g}")) for least, most in ends)

    @property
    def _is_one_hot(self) -> bool:
        return bool(((self.values == 0) | (self.values == 1)).all() and (self.values.sum(1) == 1).all())

    def counts(self) -> NDArray[np.int64]:
        """Count the pictures of each label number, [width]. Vectors count for their largest element."""
        numbers = self.values.argmax(1) if self.values.ndim == 2 else self.values
        return np.bincount(numbers.astype(np.int64), minlength=self.width)


@dataclass(frozen=True)
class Listed:
    """The labels that a dataset.json lists.

    Args:
        by_picture: The label of each picture that has one, by its name in the folder or zip.
        unused: Listed names that are no picture's.
        where: The dataset and the file, for messages.
    """

    by_picture: Mapping[str, Any]
    unused: tuple[str, ...]
    where: str

    def table(self, names: Sequence[str]) -> LabelTable:
        """The labels of pictures, in this order. Raises DatasetError if some have none, or they differ in kind."""
        missing = [name for name in names if name not in self.by_picture]
        if missing:
            shown = printable(", ".join(missing[:_SHOWN]))
            raise DatasetError(
                f"{len(missing):,} of {counted(len(names), 'picture')} "
                f"{'has' if len(missing) == 1 else 'have'} no label ({shown}); {_WANT}",
                where=self.where,
                fix=MEND,
            )
        return _table([self.by_picture[name] for name in names], self.where)


def read_listed(store: Store, layout: Layout, pictures: Sequence[str]) -> Listed | None:
    """Read the labels of the dataset.json over the pictures; None without such a file, or if it has no labels.

    Raises:
        DatasetError: If it is damaged, or has another structure.
    """
    file = layout.find(LABELS_NAME)
    if file is None:
        return None
    pairs = read_json(store, file).get("labels")
    if pairs is None:
        return None
    where = f"{store.path}: {printable(file)}"
    listed = labels_by_name(pairs, where)
    by_picture = {}
    left = dict.fromkeys(listed)
    for picture in pictures:
        name = next((name for name in layout.known_as(picture, file) if name in listed), None)
        if name is not None:
            by_picture[picture] = listed[name]
            left.pop(name, None)
    return Listed(by_picture, tuple(left), where)


def read_label_names(store: Store, layout: Layout, width: int) -> tuple[str, ...]:
    """Read the names of classes 0, 1, ..., or of a label's numbers; empty if they have no names.

    They are in dataset.json. Earlier versions of metagan wrote them into metagan.json.

    Args:
        store: The folder or zip of the pictures.
        layout: Its layout.
        width: Width of a label vector.

    Raises:
        DatasetError: If dataset.json's aren't one name for each.
    """
    file, facts = layout.find(LABELS_NAME), layout.find(FACTS_NAME)
    names = read_json(store, file).get(NAMES_KEY) if file else None
    if names is None:
        former = read_json(store, facts).get(NAMES_KEY) if facts else None
        return tuple(map(str, former[:width])) if isinstance(former, list) and len(former) >= width else ()
    where = f"{store.path}: {printable(file or LABELS_NAME)}"
    if not (isinstance(names, list) and all(isinstance(name, str) and name.strip() for name in names)):
        raise DatasetError(
            f"{NAMES_KEY}: want a list of texts, got {str(names)[:60]!r}",
            where=where,
            fix="correct or remove it",
        )
    if len(names) < width:
        raise DatasetError(
            f"{NAMES_KEY}: {counted(len(names), 'name')} for labels of width {width}",
            where=where,
            fix="name each, or remove it",
        )
    if sum(map(len, names)) > MAX_NAMES_CHARACTERS:
        raise DatasetError(
            f"{NAMES_KEY}: want at most {MAX_NAMES_CHARACTERS:,} characters in all, got {sum(map(len, names)):,}",
            where=where,
            fix="shorten them, or remove it",
        )
    return tuple(map(text_of, names[:width]))


def labels_by_name(pairs: Any, where: str) -> dict[str, Any]:
    """Convert dataset.json's list of [name, label] to a mapping. Raises DatasetError if it has another structure."""
    if not isinstance(pairs, list):
        raise DatasetError(f"labels: got {type(pairs).__name__}; {_WANT}", where=where, fix=MEND)
    labels: dict[str, Any] = {}
    for index, pair in enumerate(pairs):
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)):
            raise DatasetError(f"labels[{index}]: got {show(str(pair))}; {_WANT}", where=where, fix=MEND)
        name, label = plain_name(pair[0]), pair[1]
        if isinstance(label, float) and not math.isfinite(label):
            raise DatasetError(f"labels[{index}]: want a number, got {label}", where=where, fix=MEND)
        if labels.setdefault(name, label) != label:
            raise DatasetError(
                f"labels[{index}]: {name} has another label before, {show(labels[name])}, not {show(label)}",
                where=where,
                fix=MEND,
            )
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
        fix=MEND,
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
        names: Names of the numbers of labels that are vectors.
    """

    find: Callable[[str], RawLabel | None]
    missing: str
    unused: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def choose_labelling(how: str, store: Store, layout: Layout, pictures: Sequence[str]) -> Labelling | None:
    """Return the labelling for `--labels`, or None for no labels.

    Args:
        how: "none", "folders", "auto" for the dataset.json among the pictures, if any, or a CSV file's path.
        store: The folder or zip of the pictures.
        layout: Its layout.
        pictures: The pictures' names.

    Raises:
        DatasetError: If the CSV does not exist, its lines are not "file,label", or no label is for a picture.
    """
    if how == "none":
        return None
    if how == "auto":
        return _from_dataset_json(store, layout, pictures)
    if how == "folders":
        return _from_folders(store, layout, pictures)
    return _from_csv(Path(how), layout, pictures)


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


def unread_labels(how: str | None, store: Store, layout: Layout, pictures: Sequence[str]) -> tuple[str, ...]:
    """What is there that could be labels, and isn't used: files, and the names of sub-folders.

    Args:
        how: As `choose_labelling` takes it; None for labels from elsewhere.
        store: The folder or zip of the pictures.
        layout: Its layout.
        pictures: The pictures' names.
    """
    used = layout.find(LABELS_NAME) if how == "auto" else None
    found = [file for file in layout.all(LABELS_NAME) if file != used and _has_labels(store, file)]
    labelled = used is not None and _has_labels(store, used)
    by_name = _names(pictures, layout)
    for file in layout.all(".csv"):
        is_read = how is not None and real_path(store.path / file) == real_path(Path(how))
        if not is_read and any(plain_name(row[0].strip()) in by_name for row in _rows_in(store, file)):
            found.append(file)
    folders = {name.split("/")[0] for name in map(layout.relative, pictures) if "/" in name}
    if how == "auto" and not labelled and len(folders) > 1 and not all(map(str.isdecimal, folders)):
        more = ", ..." if len(folders) > _SHOWN else ""
        found.append(f"the sub-folders' names ({', '.join(sorted(folders)[:_SHOWN])}{more})")
    return tuple(map(printable, found))


def left_over(unused: Sequence[str]) -> str:
    """Say that labels are for no picture."""
    first = printable(unused[0])
    return f"{counted(len(unused), 'label is', 'labels are')} for no picture here, such as {first}"


def _has_labels(store: Store, file: str) -> bool:
    try:
        return read_json(store, file).get("labels") is not None
    except DatasetError:
        return True  # as far as one can tell


def _rows_in(store: Store, file: str) -> list[list[str]]:
    try:
        text = store.read(file).decode("utf-8-sig")
        return [row for row in csv.reader(io.StringIO(text)) if len(row) > 1]
    except (UnreadableError, UnicodeDecodeError, csv.Error):
        return []


def _from_folders(store: Store, layout: Layout, pictures: Sequence[str]) -> Labelling:
    labels: dict[str, RawLabel] = {
        name: layout.relative(name).split("/")[0] for name in pictures if "/" in layout.relative(name)
    }
    if not labels:  # one folder only
        labels = {name: plain_name(name).split("/")[-2] for name in pictures if "/" in plain_name(name)}
    if not labels:
        raise DatasetError(
            "--labels folders: no picture is in a sub-folder",
            where=store.path,
            fix="put the pictures of each label into a folder with its name, or use a CSV file",
        )
    return Labelling(labels.get, "not in a sub-folder, so it has no label")


def _from_dataset_json(store: Store, layout: Layout, pictures: Sequence[str]) -> Labelling | None:
    listed = read_listed(store, layout, pictures)
    if listed is None:
        return None
    if not listed.by_picture:
        raise DatasetError(
            f"its {counted(len(listed.unused), 'label is', 'labels are')} for no picture here",
            where=listed.where,
            fix="correct it, or use --labels none",
        )
    labelled = list(listed.by_picture)
    table = listed.table(labelled)
    values: list[LabelValue] = table.values.tolist()
    names = read_label_names(store, layout, table.width)
    numbers = [value for value in values if isinstance(value, int)]
    if len(numbers) < len(values):
        by_name = dict(zip(labelled, values, strict=True))
        return Labelling(by_name.get, f"not in {LABELS_NAME}", listed.unused, names)
    named: Sequence[RawLabel] = values
    if max(numbers) < len(names):
        named = [names[number] for number in numbers]
    return Labelling(dict(zip(labelled, named, strict=True)).get, f"not in {LABELS_NAME}", listed.unused)


def _from_csv(path: Path, layout: Layout, pictures: Sequence[str]) -> Labelling:
    by_name = _names(pictures, layout)
    rows, names = _read_rows(path, by_name)
    labels: dict[str, RawLabel] = {}
    unused = []
    for given, label in rows:
        name = by_name.get(plain_name(given.strip()))
        if name is None:
            unused.append(given)
        elif labels.setdefault(name, label) != label:
            raise DatasetError(
                f"{given.strip()} has two labels, {show(str(labels[name]))} and {show(str(label))}",
                where=path,
                fix="leave one of the lines out",
            )
    if not labels:
        raise DatasetError(
            f"its {counted(len(rows), 'line matches', 'lines match')} no picture (the first: {show(rows[0][0])})",
            where=path,
            fix=f"write a picture's path, such as {show(pictures[0])}, then its label",
        )
    return Labelling(labels.get, f"no label in {path.name}", tuple(unused), names)


def _names(pictures: Sequence[str], layout: Layout) -> Mapping[str, str]:
    # A line may have a picture's path, or its bare name if that is unique.
    bare: dict[str, str | None] = {}
    for name in pictures:
        last = plain_name(name).rpartition("/")[2]
        bare[last] = None if last in bare else name
    known = {last: name for last, name in bare.items() if name is not None}
    for name in pictures:
        for alias in reversed(layout.known_as(name)):
            known[alias] = name
    return known


def _read_rows(path: Path, pictures: Container[str]) -> tuple[list[tuple[str, RawLabel]], tuple[str, ...]]:
    """Read the lines of a CSV: each picture's name and label, and the names of labels that are numbers.

    Labels are numbers if all lines have several of them behind the picture's name, or one that is no whole number.
    """
    rows = _lines(path)
    wrong = [
        Problem(Location(str(path), number), f"want file,label, got {','.join(row)[:60]!r}")
        for number, row in rows
        if len(row) < 2 or not row[1].strip()
    ]
    if wrong:
        more = f", and {counted(len(wrong) - 10, 'more line')}" if len(wrong) > 10 else ""
        shown = wrong[:10]
        shown[-1] = replace(
            shown[-1], what=shown[-1].what + more, fix="write a picture's path, a comma and its label"
        )
        raise DatasetError.of(shown)
    heading: list[str] = []
    if rows and rows[0][1][0].strip().lower() in _HEADINGS:
        heading = _cells(rows.pop(0)[1])
    if not rows:
        raise DatasetError("it has no lines of file,label", where=path, fix="write one for each picture")
    labels = [_cells(row) for _, row in rows]
    may_be_heading = plain_name(rows[0][1][0].strip()) not in pictures and not _are_numbers(labels[:1])
    if not heading and may_be_heading and len(rows) > 1 and _are_numbers(labels[1:]):
        heading, labels, rows = labels[0], labels[1:], rows[1:]
    if not _are_numbers(labels):
        _refuse_few(path, rows, labels)
        return [(row[0], row[1].strip()) for _, row in rows], ()
    vectors = [tuple(map(float, label)) for label in labels]
    for (number, row), vector in zip(rows, vectors, strict=True):
        if not all(map(math.isfinite, vector)):
            raise DatasetError(
                f"want finite numbers, got {','.join(row)[:60]!r}",
                where=Location(str(path), number),
                fix="correct the line, or remove it",
            )
    names = tuple(map(text_of, heading)) if len(heading) == len(vectors[0]) and all(heading) else ()
    return [(row[0], vector) for (_, row), vector in zip(rows, vectors, strict=True)], names


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Read a CSV's lines that aren't empty, each with its number. Raises DatasetError."""
    if path.exists() and not path.is_file():  # a pipe may never be written to, and a device never end
        raise DatasetError(
            f"--labels {path}: it is no regular file", fix="use none, auto, folders or a readable CSV file"
        )
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"--labels {path}: can't be read ({reason_of(error)})",
            fix="use none, auto, folders or a readable CSV file",
        ) from error
    try:
        return [(number, row) for number, row in enumerate(csv.reader(io.StringIO(text)), 1) if any(row)]
    except csv.Error as error:
        raise DatasetError(
            f"not a CSV file ({error})", where=path, fix="write lines of file,label"
        ) from error


def _refuse_few(path: Path, rows: Sequence[tuple[int, list[str]]], labels: Sequence[Sequence[str]]) -> None:
    """Refuse lines without numbers among many with: all labels would be names, and further columns be lost."""
    width = max(map(len, labels))
    odd = [
        place for place, label in enumerate(labels) if len(label) != width or not all(map(_is_number, label))
    ]
    if width > 1 and 2 * len(odd) < len(labels):
        number, row = rows[odd[0]]
        raise DatasetError(
            f"want {counted(width, 'number')} as in most lines, got {','.join(row)[:60]!r}",
            where=Location(str(path), number),
            fix="correct the line, or remove it",
        )


def _cells(row: Sequence[str]) -> list[str]:
    """Return what stands behind a picture's name in a line, without empty cells at its end."""
    cells = [cell.strip() for cell in row[1:]]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _are_numbers(labels: Sequence[Sequence[str]]) -> bool:
    width = len(labels[0])
    if width == 0 or any(len(label) != width for label in labels):
        return False
    whole = width == 1 and all(label[0].isascii() and label[0].isdigit() for label in labels)
    return not whole and all(_is_number(cell) for label in labels for cell in label)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text
