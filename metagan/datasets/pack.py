"""Packs pictures of any kind into a dataset zip. Unreadable files are skipped and listed."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from metagan import __version__
from metagan.datasets.archive import FACTS_NAME, LABELS_NAME, DatasetWriter, writing_dataset
from metagan.datasets.decode import Fit, depth_of, fit_picture
from metagan.datasets.labels import Labelling, RawLabel, choose_labelling, number_labels, unread_labels
from metagan.datasets.pool import OrderedPool
from metagan.datasets.store import Layout, Store, UnreadableError, open_store, plain_name
from metagan.errors import DatasetError
from metagan.files import real_path, require_other
from metagan.values import Size, counted, printable, text_of

# Files next to pictures that are not pictures. All other files are tried, whatever their name.
_BESIDE: Final = frozenset(
    {
        *(".csv", ".db", ".gz", ".html", ".ini", ".json", ".jsonl", ".log", ".md", ".pdf", ".py", ".tar"),
        *(".toml", ".tsv", ".txt", ".url", ".xml", ".yaml", ".yml", ".zip"),
    }
)
_OUR_FILES: Final = (LABELS_NAME, FACTS_NAME)  # which labels and reports speak of
_CRASHED: Final = "its decoder crashed, or the system's memory ran out"
_SHOWN: Final = 5
_FULL: Final = 16  # bits a value of a 16-bit file


@dataclass(frozen=True)
class Packed:
    """The result for one picture: a PNG file, or the reason why there is none."""

    name: str
    png: bytes | None = None
    reason: str = ""
    cut: bool = False
    enlarged: bool = False
    depth: int | None = None


@dataclass
class PackReport:
    """The result of packing.

    Args:
        path: The dataset zip.
        size: Of the pictures.
        fit: "crop", "pad" or "stretch".
        packed: Pictures in the zip.
        skipped: Name and reason of each skipped picture.
        ignored: Number of files that are not pictures by their names (hidden files, text files), beside dataset.json.
        cut: Number of pictures that were cropped, padded or stretched.
        enlarged: Number of pictures that were enlarged.
        dark: Pictures of 16-bit files that use few of the bits, and how many.
        brightened: The number of bits that those were scaled from; 0 if they were left as they are.
        duplicates: Each picture whose pixels are those of an earlier one, and that one's name.
        dropped: Whether duplicates were left out.
        labels: Number of pictures by label name; empty without labels or with label vectors.
        label_width: Numbers in each label vector; 0 without label vectors.
        unused_labels: Names in the CSV or dataset.json that match no picture.
        repeated: Names that several files of the zip have; the last of each is packed.
        unread_labels: Files with labels, and names of sub-folders, that `labels` did not ask for.
    """

    path: Path
    size: Size
    fit: str
    packed: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    ignored: int = 0
    cut: int = 0
    enlarged: int = 0
    dark: list[tuple[str, int]] = field(default_factory=list)
    brightened: int = 0
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    dropped: bool = False
    labels: dict[str, int] = field(default_factory=dict)
    label_width: int = 0
    unused_labels: tuple[str, ...] = ()
    unread_labels: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()


def list_pictures(store: Store) -> list[str]:
    """List the files that may be pictures: all except hidden files and known others, such as texts."""
    return [name for name in store.names() if not _is_beside(PurePosixPath(name))]


def pack(
    pictures: Path,
    out: Path,
    fit: Fit,
    *,
    labels: str | Labelling = "auto",
    names: Sequence[str] | None = None,
    facts: Mapping[str, object] | None = None,
    brighten: bool = False,
    drop_duplicates: bool = False,
    workers: int = 0,
    begin: Callable[[int], None] = lambda _: None,
    advance: Callable[[int], None] = lambda _: None,
) -> PackReport:
    """Pack a folder or zip of pictures into a dataset zip, in the order of their names.

    Args:
        pictures: The folder or zip. It is not changed, and zips are not extracted.
        out: The dataset zip.
        fit: Size, crop or pad, and background.
        labels: "none", "folders", "auto" (a dataset.json among the pictures, if any), a CSV file's path, or a
            labelling.
        names: Which pictures, in this order; all that may be pictures when None.
        facts: What metagan.json says besides: the pictures' licence and origin.
        brighten: Scale 16-bit files that use few of the bits, such as a sensor's 12. The most that one of them uses
            counts for all, so that darker pictures stay darker.
        drop_duplicates: Leave out pictures whose pixels are those of an earlier one.
        workers: Number of decoding processes. 0 decodes in this one, which a crash of a decoder ends.
        begin: Called with the number of pictures.
        advance: Called with the number of further pictures done.

    Raises:
        DatasetError: If the folder or zip does not exist or has no readable picture, labels match nothing, or
            the zip can't be written or is the one to read.
    """
    store = open_store(pictures)
    require_other(out, pictures, *([Path(labels)] if isinstance(labels, str) else []))
    _require_dataset(out)
    ignored, own = 0, _own_name(out, pictures)
    if names is None:
        names = [name for name in list_pictures(store) if name != own]
        others = set(store.names()) - {*names, own}
        ignored = sum(PurePosixPath(plain_name(name)).name not in _OUR_FILES for name in others)
    if not names:
        raise DatasetError(
            f"it contains no pictures ({counted(len(store.names()), 'other file')})",
            where=pictures,
            fix="name the folder or zip that contains them",
        )
    layout = Layout(store.names(), names)
    how = labels if isinstance(labels, str) else None
    labelling = labels if isinstance(labels, Labelling) else choose_labelling(labels, store, layout, names)
    report = PackReport(out, fit.size, fit.mode, ignored=ignored, dropped=drop_duplicates)
    report.repeated = tuple(map(printable, store.repeated()))
    report.unread_labels = unread_labels(how, store, layout, names)
    chosen = list(_labelled(names, labelling, report))
    if brighten:
        depths = OrderedPool(partial(_depth, store, fit), workers, _no_depth).map(chosen)
        report.brightened = max((depth for depth in depths if depth is not None and depth < _FULL), default=0)
        fit = replace(fit, depth=report.brightened)
    begin(len(chosen))
    pool = OrderedPool(partial(pack_one, store, fit), workers, _crashed)
    with writing_dataset(out) as writer:
        raw: list[RawLabel] = []
        seen: dict[bytes, str] = {}
        for outcome in pool.map(chosen):
            if _take(outcome, writer, report, seen) and labelling:
                raw.append(_found(labelling, outcome.name))
            advance(1)
        _refuse_nothing(pictures, report)
        _finish(writer, fit, raw, report, facts or {}, labelling.names if labelling else ())
    return report


def _require_dataset(out: Path) -> None:
    """Refuse to replace anything but an earlier run's dataset, such as one of the pictures."""
    if out.suffix.lower() != ".zip" and out.is_file() and out.stat().st_size and not zipfile.is_zipfile(out):
        raise DatasetError(
            "it is no dataset, and would be lost", where=out, fix="choose another name for --out"
        )


def _own_name(out: Path, pictures: Path) -> str:
    """The name that the dataset of an earlier run has among the pictures; "" if it doesn't lie there."""
    here, there = real_path(pictures), real_path(out)
    return there.relative_to(here).as_posix() if there.is_relative_to(here) and there != here else ""


def pack_one(store: Store, fit: Fit, name: str) -> Packed:
    """Read and fit one picture. Errors are part of the result."""
    try:
        fitted = fit_picture(store.read(name), fit)
    except UnreadableError as error:
        return Packed(name, reason=str(error))
    out = io.BytesIO()
    fitted.image.save(out, "PNG")
    return Packed(name, out.getvalue(), cut=fitted.cut, enlarged=fitted.enlarged, depth=fitted.depth)


def _depth(store: Store, fit: Fit, name: str) -> int | None:
    try:
        return depth_of(store.read(name), fit)
    except UnreadableError:
        return None  # packing says why


def _no_depth(_name: str) -> None:
    return None


def _is_beside(name: PurePosixPath) -> bool:
    name = PurePosixPath(plain_name(str(name)))
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in name.parts)
    return hidden or name.suffix.lower() in _BESIDE


def _labelled(names: Sequence[str], labelling: Labelling | None, report: PackReport) -> Iterator[str]:
    if labelling:
        report.unused_labels = tuple(map(printable, labelling.unused))
    for name in names:
        if labelling and labelling.find(name) is None:
            report.skipped.append((printable(name), labelling.missing))
        else:
            yield name


def _found(labelling: Labelling, name: str) -> RawLabel:
    label = labelling.find(name)
    if label is None:
        raise AssertionError("pictures without a label were left out before")
    return label


def _take(outcome: Packed, writer: DatasetWriter, report: PackReport, seen: dict[bytes, str]) -> bool:
    if outcome.png is None:
        report.skipped.append((printable(outcome.name), printable(outcome.reason)))
        return False
    name = printable(outcome.name)
    first = seen.setdefault(hashlib.blake2b(outcome.png, digest_size=16).digest(), name)
    if first is not name:
        report.duplicates.append((name, first))
        if report.dropped:
            return False
    if outcome.depth is not None and outcome.depth < _FULL:
        report.dark.append((name, outcome.depth))
    writer.add(outcome.png)
    report.packed += 1
    report.cut += outcome.cut
    report.enlarged += outcome.enlarged
    return True


def _finish(
    writer: DatasetWriter,
    fit: Fit,
    raw: list[RawLabel],
    report: PackReport,
    more: Mapping[str, object],
    numbers_names: Sequence[str],
) -> None:
    labels, given = number_labels(raw)
    names = [text_of(name) for name in given]
    numbers = [label for label in labels if isinstance(label, int)]
    counts = sorted(Counter(numbers).items())
    report.labels = {names[number] if names else str(number): count for number, count in counts}
    facts: dict[str, object] = {"made_by": f"metagan {__version__}", "resolution": fit.size.longest}
    if not fit.size.is_square:
        facts |= {"width": fit.size.width, "height": fit.size.height}
    facts |= {"fit": fit.mode, "background": "#{:02x}{:02x}{:02x}".format(*fit.background)}
    facts |= {"resample": fit.resample} | ({"alpha": fit.alpha} if fit.alpha == "keep" else {}) | dict(more)
    facts |= {"cut": report.cut, "enlarged": report.enlarged}
    vectors = [label for label in labels if not isinstance(label, int)]
    report.label_width = len(vectors[0]) if vectors else 0
    writer.finish(labels or None, facts, numbers_names if vectors else names)


def _refuse_nothing(pictures: Path, report: PackReport) -> None:
    if report.packed:
        return
    reasons = "\n  ".join(f"{name}: {reason}" for name, reason in report.skipped[:_SHOWN])
    more = f"\n  and {len(report.skipped) - _SHOWN} more" if len(report.skipped) > _SHOWN else ""
    raise DatasetError(
        f"its {counted(len(report.skipped), 'file')} could not be packed; nothing was written\n  {reasons}{more}",
        where=pictures,
        fix="correct what is wrong with them, or name another folder or zip",
    )


def _crashed(name: str) -> Packed:
    return Packed(name, reason=_CRASHED)
