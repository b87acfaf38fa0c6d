"""What a weights file holds, before anybody decides what network it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class NetworkRecord:
    """One network as its file describes it: data only, under the file's own names.

    Args:
        class_name: What the file calls the class, "Generator"; never looked up anywhere.
        tensors: Parameters and buffers by dotted name, "synthesis.b4.const", in the file's order.
        attributes: Everything else by dotted name, "synthesis.b8.conv0.up": None, bools, numbers, strings,
            bytes, numpy arrays, and lists, tuples and dicts of these ("_init_kwargs" is such a dict).
    """

    class_name: str
    tensors: Mapping[str, Tensor]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Header:
    """The JSON header of metagan's own .safetensors files.

    Args:
        architecture: The name of a package in metagan.networks, "stylegan2".
        configuration: The keyword arguments of its configuration dataclass.
        licence: An SPDX name or words; "unknown" when nobody said.
        source: Where the weights come from, a URL or words.
        training: Facts about the training: data, kimg, date, measures; free-form JSON.
    """

    architecture: str
    configuration: Mapping[str, Any]
    licence: str = "unknown"
    source: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A weights file, read.

    Args:
        path: The file.
        format: What it is, in words, "official network pickle (stylegan2-ada-pytorch, stylegan3)".
        networks: The networks inside by role: "G", "D", "G_ema"; a file that holds one generator has "G_ema".
        header: The header of metagan's own format, else None.
        facts: What else the file says of its training (kimg, data set's options ...): JSON-like values only.
    """

    path: Path
    format: str
    networks: Mapping[str, NetworkRecord]
    header: Header | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
