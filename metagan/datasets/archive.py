"""The dataset zip: uncompressed PNG entries and dataset.json, with the names of the official dataset tool.

    00000/img00000000.png      picture 0; a thousand per folder
    dataset.json               {"labels": [["00000/img00000000.png", 6], ...]}, or {"labels": null}; where classes
                               have names, also "label_names": ["ape", "bird", ...], which other programs ignore
    metagan.json               facts for metagan only: how pictures were fitted (optional)

PNG files are not compressed again, names sort in order, and times are fixed, so that equal pictures give equal bytes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from metagan.errors import DatasetError
from metagan.files import replacing
from metagan.values import json_text

LABELS_NAME: Final = "dataset.json"
FACTS_NAME: Final = "metagan.json"
NAMES_KEY: Final = "label_names"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_UNIX: Final = 3
_READABLE: Final = 0o644 << 16

LabelValue = int | Sequence[float]


def picture_name(index: int, suffix: str = "png") -> str:
    """Return the name of picture `index`: 1234567 is "01234/img01234567.png"."""
    digits = f"{index:08d}"
    return f"{digits[:5]}/img{digits}.{suffix}"


class DatasetWriter:
    """Adds pictures to an open dataset zip."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.count = 0

    def add(self, png: bytes, metadata: Mapping[str, Any] | None = None) -> None:
        """Add the next picture, and the JSON that describes it, if any."""
        self._write(picture_name(self.count), png)
        if metadata is not None:
            self._write(picture_name(self.count, "json"), _json(metadata, indent=2))
        self.count += 1

    def finish(
        self, labels: Sequence[LabelValue] | None, facts: Mapping[str, Any], names: Sequence[str] = ()
    ) -> None:
        """Write dataset.json and metagan.json.

        Args:
            labels: One label per picture, in order.
            facts: The content of metagan.json.
            names: Names of classes 0, 1, ..., or of a label's numbers; empty if they have no names.
        """
        pairs = None
        if labels is not None:
            if len(labels) != self.count:
                raise ValueError(f"{len(labels)} labels for {self.count} pictures")
            pairs = [[picture_name(index), label] for index, label in enumerate(labels)]
        named = {NAMES_KEY: list(names)} if names else {}
        self._write(LABELS_NAME, _json({"labels": pairs} | named))
        self._write(FACTS_NAME, _json(facts, indent=2))

    def _write(self, name: str, data: bytes) -> None:
        info = zipfile.ZipInfo(name, _EPOCH)
        info.create_system, info.external_attr = _UNIX, _READABLE
        self._archive.writestr(info, data)


@contextmanager
def writing_dataset(path: Path) -> Iterator[DatasetWriter]:
    """Yield a writer. If the block succeeds, its zip is moved to `path`; otherwise nothing is left.

    Raises:
        DatasetError: If the zip can't be written.
    """
    try:
        with replacing(path) as beside, zipfile.ZipFile(beside, "w") as archive:
            yield DatasetWriter(archive)
    except OSError as error:
        raise DatasetError(
            f"can't be written ({error.strerror or error})",
            where=path,
            fix="free some space or choose another --out",
        ) from error


def _json(value: Mapping[str, Any], indent: int | None = None) -> bytes:
    return json_text(value, indent).encode()
