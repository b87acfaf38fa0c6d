"""The table of formats in README: every family of files that metagan reads, and as what."""

from __future__ import annotations

from dataclasses import dataclass

from metagan.networks.detect import ARCHITECTURES


@dataclass(frozen=True)
class Format:
    """A row of the table.

    Args:
        family: The program that writes such files.
        files: The files themselves.
        read_as: The architecture's name in metagan's own files, or "any".
    """

    family: str
    files: str
    read_as: str


FORMATS: tuple[Format, ...] = (
    *(
        Format(reading.family, reading.files, architecture.name)
        for architecture in ARCHITECTURES
        for reading in architecture.readings
    ),
    Format("metagan's own", ".safetensors", "any"),
)
