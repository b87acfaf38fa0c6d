"""The browser's weights file: gzipped safetensors, with the configuration under the key "metagan-live".

Names and shapes are those of `fold`. Large tensors are float16 or float32 as requested; small ones stay float32,
which costs little and avoids rounding. Of float16 numbers, all low bytes come first and then all high ones (a leading
axis of two): gzip finds little to save in the low bytes, and more in the high ones where they are by themselves. With
int8, convolution weights are bytes (NAME) with one factor per output channel (NAME.scale); everything else is as with
float16.
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
from metagan.networks.upscaler import UpscalerConfig

WebPrecision = Literal["fp16", "fp32", "int8"]
METADATA_KEY: Final = "metagan-live"
FORMAT_VERSION: Final = 2
SMALL = 4096  # tensors with at most this many elements stay float32
MOST = 127  # of a signed byte


def pack(
    config: WebConfig, tensors: Mapping[str, Tensor], precision: WebPrecision, psnr_db: float | None = None
) -> bytes:
    """Serialise a generator, before gzip. The same generator gives the same bytes.

    Args:
        config: The configuration that the browser needs.
        tensors: The tensors from `fold`.
        precision: The number format of large tensors.
        psnr_db: PSNR of its pictures against the generator's, for the header.

    Raises:
        ExportError: If a weight is too large for float16.
    """
    stored: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        stored |= _narrow(name, tensor, precision)
    header = {"version": FORMAT_VERSION, "precision": precision, "psnr_db": psnr_db, **config.as_json()}
    return bytes(save(stored, metadata={METADATA_KEY: json.dumps(header, sort_keys=True)}))


def _narrow(name: str, tensor: Tensor, precision: WebPrecision) -> dict[str, Tensor]:
    """Convert a tensor to its stored form, with its scale if it has one."""
    if precision == "fp32" or tensor.numel() <= SMALL:
        return {name: tensor.float().contiguous().clone()}
    if precision == "int8" and tensor.ndim == 4:
        scale = tensor.abs().amax(dim=(1, 2, 3)).clamp_min(torch.finfo(torch.float32).tiny) / MOST
        return {name: (tensor / scale[:, None, None, None]).round().to(torch.int8), f"{name}.scale": scale}
    return {name: _half_planes(name, tensor)}


def _half_planes(name: str, tensor: Tensor) -> Tensor:
    """Return a tensor's low and high bytes as float16, [2, *shape]."""
    half = tensor.half().contiguous()
    if not torch.isfinite(half).all():
        raise ExportError(
            f"{name} contains {tensor.abs().max():g}, which is too large for float16",
            fix="export with --precision fp32",
        )
    return half[..., None].view(torch.uint8).movedim(-1, 0).contiguous()


def unpack(content: bytes) -> tuple[WebConfig, dict[str, Tensor]]:
    """Read what `pack` wrote, converted to float32."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][METADATA_KEY])
    for name in ("version", "architecture", "precision", "psnr_db"):
        del header[name]
    for name in ("constant", "channels", "widths"):
        header[name] = tuple(header[name])
    if "upscaler" in header:
        header["upscaler"] = UpscalerConfig(**header["upscaler"])
    return WebConfig(**header), _widened(load(content))


def _widened(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convert every tensor to float32, multiplying bytes by their channel's factor."""
    scales = {name: stored.pop(f"{name}.scale") for name in list(stored) if f"{name}.scale" in stored}
    tensors = {
        name: (_joined(tensor) if tensor.dtype == torch.uint8 else tensor).float()
        for name, tensor in stored.items()
    }
    return tensors | {name: tensors[name] * scale[:, None, None, None] for name, scale in scales.items()}


def _joined(planes: Tensor) -> Tensor:
    """Return the float16 numbers of low and high bytes."""
    return planes.movedim(0, -1).contiguous().view(torch.half)[..., 0]


def compress(content: bytes) -> bytes:
    """Compress with gzip, without a date."""
    return gzip.compress(content, 9, mtime=0)
