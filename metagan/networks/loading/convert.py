"""Converts weights files to metagan's own format, or to the official one, verified by reading them back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metagan.checkpoints.model import Checkpoint, Header
from metagan.checkpoints.read import read_checkpoint
from metagan.checkpoints.write import write_safetensors
from metagan.errors import CheckpointError, OptionError
from metagan.files import replacing
from metagan.networks.loading.architecture import Official
from metagan.networks.loading.assemble import shortened
from metagan.networks.loading.detect import describe_training, load_generator, notes_on
from metagan.networks.loading.forms import describe, to_official


def convert(
    source: Path,
    target: Path,
    *,
    role: str | None = None,
    half: bool = False,
    licence: str | None = None,
    origin: str | None = None,
) -> Header:
    """Write the generator of one file as metagan's own .safetensors.

    The file is read back before it takes its place: every tensor must be bit-identical.

    Args:
        source: Any weights file that metagan reads.
        target: The file to write.
        role: Which network, as in `load_generator`.
        half: Store float16, which halves the size, at a PSNR of about 72 dB against float32.
        licence: An SPDX identifier or free text; None keeps the source's.
        origin: Where the weights come from; None keeps the source's.

    Returns:
        The written header.

    Raises:
        CheckpointError: If the source can't be read, or the written file differs from it.
        OptionError: If weights exceed the range of half precision.
    """
    checkpoint = read_checkpoint(source)
    generator = load_generator(checkpoint, role)
    tensors = generator.state_dict()
    if half:
        tensors = _halved(tensors)
    before = checkpoint.header or Header("", {})
    header = dataclasses.replace(
        describe(generator),
        licence=before.licence if licence is None else licence,
        source=before.source if origin is None else origin,
        training=_training(checkpoint, role),
    )
    wanted = {name: tensor.float() for name, tensor in tensors.items()}

    def check(written: Path) -> None:
        _require_same(target, load_generator(read_checkpoint(written)).state_dict(), wanted)

    write_safetensors(target, tensors, header, check)
    return header


def _halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    halved = {name: tensor.half() for name, tensor in tensors.items()}
    lost = [name for name, tensor in halved.items() if not torch.isfinite(tensor).all()]
    if lost:
        raise OptionError(
            f"half precision ends at 65,504, which is exceeded in {shortened(tuple(lost))}",
            fix="convert it without --half",
        )
    return halved


def convert_to_official(
    source: Path, target: Path, *, role: str | None = None, layout: str = "official"
) -> Official:
    """Write the generator of one file as a state dict for its authors' code, or another program's, with `torch.save`.

    A state dict holds only tensors: licence, source and training facts are dropped. The file is read back before it
    takes its place: every tensor must be bit-identical.

    Args:
        source: Any weights file that metagan reads.
        target: The file to write.
        role: Which network, as in `load_generator`.
        layout: "official" or "rosinality".

    Returns:
        What was written, with the arguments of the program's class.

    Raises:
        CheckpointError: If the source can't be read, or the written file differs from it.
        OptionError: If metagan doesn't write this architecture's official format.
    """
    official = to_official(load_generator(read_checkpoint(source), role), layout)
    with replacing(target) as beside:
        with beside.open("wb") as file:  # given a path, torch would store its name in the file
            torch.save(official.content, file)
        wanted = {**official.state, **official.beside}
        _require_same(target, read_checkpoint(beside).networks["G_ema"].tensors, wanted)
    return official


def _training(checkpoint: Checkpoint, role: str | None) -> dict[str, Any]:
    """Return the file's facts about its training, and the values that metagan guessed or generated."""
    notes = notes_on(checkpoint, role)
    return describe_training(checkpoint) | ({"notes": list(notes)} if notes else {})


def _require_same(path: Path, written: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    different = [
        name
        for name, tensor in wanted.items()
        if name not in written or not torch.equal(written[name], tensor)
    ]
    if different:
        raise CheckpointError(
            f"written, but read back different in {', '.join(different[:4])}",
            where=path,
            fix="check the disk, and write to another one",
        )
