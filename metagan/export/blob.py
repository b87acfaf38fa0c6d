"""The browser's weights file: safetensors, gzipped, its configuration under the key "metagan-live".

Names and shapes are those of `fold`. Matrices are float16 or float32 as asked for; what is small stays float32,
where it costs nothing and spares a rounding.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Final, Literal

import torch
from safetensors.torch import load, save
from torch import Tensor

from metagan.errors import ExportError
from metagan.export.fold import WebConfig

Precision = Literal["fp16", "fp32"]
METADATA_KEY: Final = "metagan-live"
FORMAT_VERSION: Final = 1
SMALL = 4096  # elements up to which a tensor stays float32


def pack(config: WebConfig, tensors: Mapping[str, Tensor], precision: Precision) -> bytes:
    """The file's content before gzip; the same generator gives the same bytes.

    Raises:
        ExportError: A weight is too large for float16.
    """
    stored = {name: _narrow(name, tensor, precision) for name, tensor in tensors.items()}
    header = {"version": FORMAT_VERSION, **config.as_json()}
    return bytes(save(stored, metadata={METADATA_KEY: json.dumps(header, sort_keys=True)}))


def _narrow(name: str, tensor: Tensor, precision: Precision) -> Tensor:
    if precision == "fp32" or tensor.numel() <= SMALL:
        return tensor.float().contiguous().clone()
    half = tensor.half().contiguous()
    if not torch.isfinite(half).all():
        msg = (
            f"{name} holds {tensor.abs().max():g}, too large for float16\n  fix: export with --precision fp32"
        )
        raise ExportError(msg)
    return half


def unpack(content: bytes) -> tuple[WebConfig, dict[str, Tensor]]:
    """What `pack` packed, widened to float32."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][METADATA_KEY])
    del header["version"], header["architecture"]
    for name in ("channels", "widths"):
        header[name] = tuple(header[name])
    return WebConfig(**header), {name: tensor.float() for name, tensor in load(content).items()}


def compress(content: bytes) -> bytes:
    """Gzip, without a date."""
    return gzip.compress(content, 9, mtime=0)
