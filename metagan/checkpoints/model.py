"""The content of a weights file, independent of the network's architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from metagan.values import LabelSpace


@dataclass(frozen=True)
class NetworkRecord:
    """One network as plain data, under the names of its file.

    Args:
        class_name: The class name in the file, such as "Generator". It is never resolved.
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
        licence: An SPDX identifier or free text; "unknown" if not stated.
        source: Where the weights come from, a URL or free text.
        training: Facts about the training as free-form JSON: data, kimg, date, metrics.
        labels: What the labels of a conditional generator mean.
    """

    architecture: str
    configuration: Mapping[str, Any]
    licence: str = "unknown"
    source: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    labels: LabelSpace = field(default_factory=LabelSpace)


@dataclass(frozen=True)
class Checkpoint:
    """The content of a weights file.

    Args:
        path: The file.
        format: A description of its format, such as "official network pickle (stylegan2-ada-pytorch, stylegan3)".
        networks: The networks by role: "G", "D", "G_ema". A file with a single generator has "G_ema".
            Networks whose role is unclear have their name in the file.
        header: The header of metagan's own format, or None.
        facts: Other facts in the file about its training, such as kimg and data set options, as JSON-like values.
        names: The names of the networks in the file, by role, if its author chose them: {"G_ema": "params_ema"}.
    """

    path: Path
    format: str
    networks: Mapping[str, NetworkRecord]
    header: Header | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
