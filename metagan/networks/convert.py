"""Any readable weights file to metagan's own format, proved by reading it back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from metagan.checkpoints.model import Header
from metagan.checkpoints.read import read_checkpoint
from metagan.checkpoints.write import write_safetensors
from metagan.errors import CheckpointError
from metagan.files import replacing
from metagan.networks.detect import describe, describe_training, load_generator


def convert(
    source: Path,
    target: Path,
    *,
    role: str = "G_ema",
    half: bool = False,
    licence: str | None = None,
    origin: str | None = None,
) -> Header:
    """Write the generator of one file as metagan's own .safetensors.

    The file is read back before it takes its place: every tensor must be the same, bit by bit.

    Args:
        source: Any weights file that metagan reads.
        target: The file to write.
        role: Which network: "G_ema" or "G".
        half: Store float16, half the size, at about 72 dB from float32.
        licence: An SPDX name or words; the source's own when None.
        origin: Where the weights come from; the source's own when None.

    Returns:
        The header as written.

    Raises:
        CheckpointError: The source can't be read, or the written file differs from it.
    """
    checkpoint = read_checkpoint(source)
    generator = load_generator(checkpoint, role)
    tensors = {name: tensor.half() if half else tensor for name, tensor in generator.state_dict().items()}
    before = checkpoint.header or Header("", {})
    header = dataclasses.replace(
        describe(generator),
        licence=before.licence if licence is None else licence,
        source=before.source if origin is None else origin,
        training=describe_training(checkpoint),
    )
    with replacing(target) as beside:
        write_safetensors(beside, tensors, header)
        _require_same(beside, tensors)
    return header


def _require_same(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    written = load_generator(read_checkpoint(path)).state_dict()
    different = [name for name, tensor in tensors.items() if not torch.equal(written[name], tensor.float())]
    if different:
        msg = f"{path}: written, but read back different in {', '.join(different[:4])}; is the disk sound?"
        raise CheckpointError(msg)
