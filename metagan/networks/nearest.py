"""Why a record is none of the networks that metagan knows, in words: the nearest family, and what doesn't fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from metagan.checkpoints.model import NetworkRecord
from metagan.networks.architecture import Architecture, Part, Reading
from metagan.networks.assemble import Fit, fit

Kind = Literal["generator", "discriminator"]


def parts(architectures: Sequence[Architecture], kind: Kind) -> Iterator[tuple[Reading, Part]]:
    """Every family that has this kind of network, in order, with how it is read."""
    for architecture in architectures:
        for reading in architecture.readings:
            part = reading.generator if kind == "generator" else reading.discriminator
            if part is not None:
                yield reading, part


def explain(architectures: Sequence[Architecture], kind: Kind, record: NetworkRecord) -> str:
    """Why none of these architectures takes a record for this kind of network."""
    other: Kind = "discriminator" if kind == "generator" else "generator"
    for reading, part in parts(architectures, other):
        if part.recognises(record):
            makes = "makes no pictures" if other == "discriminator" else "judges none"
            return f"this is a {other} of {reading.title}, which {makes}; want a {kind}"
    fits = [(reading, _fit(record, part)) for reading, part in parts(architectures, kind)]
    reading, nearest = max(fits, key=lambda pair: _likeness(record, pair[1]))
    return f"no known architecture; nearest is {reading.title} ({nearest})"


def _fit(record: NetworkRecord, part: Part) -> Fit:
    return fit(record.tensors, dict.fromkeys(part.expected(record)))


def _likeness(record: NetworkRecord, result: Fit) -> tuple[float, int]:
    """By the share of keys that match; among families without any, by the words that their keys share."""
    words = {word for key in record.tensors for word in key.replace("/", ".").split(".")}
    wanted = {word for key in result.missing for word in key.replace("/", ".").split(".")}
    return result.matched / max(result.expected, 1), len(words & wanted)
