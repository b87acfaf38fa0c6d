"""The browser's weights file: safetensors, gzipped, its configuration under the key "metagan-live".

Names and shapes are those of `fold`. Matrices are float16 or float32 as asked for; what is small stays float32,
where it costs nothing and spares a rounding. With int8 convolutions' kernels are bytes, NAME, each output channel
times its own factor, NAME.scale; everything else is as with float16.
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

WebPrecision = Literal["fp16", "fp32", "int8"]
METADATA_KEY: Final = "metagan-live"
FORMAT_VERSION: Final = 1
SMALL = 4096  # elements up to which a tensor stays float32
MOST = 127  # of a byte, both ways


def pack(
    config: WebConfig, tensors: Mapping[str, Tensor], precision: WebPrecision, psnr_db: float | None = None
) -> bytes:
    """The file's content before gzip; the same generator gives the same bytes.

    Args:
        config: What the browser must know.
        tensors: As `fold` gives them.
        precision: The matrices' format.
        psnr_db: How near the pictures are to the generator's, for the header.

    Raises:
        ExportError: A weight is too large for float16.
    """
    stored: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        stored |= _narrow(name, tensor, precision)
    header = {"version": FORMAT_VERSION, "precision": precision, "psnr_db": psnr_db, **config.as_json()}
    return bytes(save(stored, metadata={METADATA_KEY: json.dumps(header, sort_keys=True)}))


def _narrow(name: str, tensor: Tensor, precision: WebPrecision) -> dict[str, Tensor]:
    """A tensor as it is stored, and what belongs to it."""
    if precision == "fp32" or tensor.numel() <= SMALL:
        return {name: tensor.float().contiguous().clone()}
    if precision == "int8" and tensor.ndim == 4:
        scale = tensor.abs().amax(dim=(1, 2, 3)).clamp_min(torch.finfo(torch.float32).tiny) / MOST
        return {name: (tensor / scale[:, None, None, None]).round().to(torch.int8), f"{name}.scale": scale}
    return {name: _halved(name, tensor)}


def _halved(name: str, tensor: Tensor) -> Tensor:
    half = tensor.half().contiguous()
    if not torch.isfinite(half).all():
        raise ExportError(
            f"{name} holds {tensor.abs().max():g}, too large for float16", fix="export with --precision fp32"
        )
    return half


def unpack(content: bytes) -> tuple[WebConfig, dict[str, Tensor]]:
    """What `pack` packed, widened to float32."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][METADATA_KEY])
    for name in ("version", "architecture", "precision", "psnr_db"):
        del header[name]
    for name in ("channels", "widths"):
        header[name] = tuple(header[name])
    return WebConfig(**header), _widened(load(content))


def _widened(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every tensor as float32, bytes times their channel's factor."""
    scales = {name: stored.pop(f"{name}.scale") for name in list(stored) if f"{name}.scale" in stored}
    tensors = {name: tensor.float() for name, tensor in stored.items()}
    return tensors | {name: tensors[name] * scale[:, None, None, None] for name, scale in scales.items()}


def compress(content: bytes) -> bytes:
    """Gzip, without a date."""
    return gzip.compress(content, 9, mtime=0)
