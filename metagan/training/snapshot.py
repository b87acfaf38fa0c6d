"""Writes a run's snapshots: generators, and sheets of sample pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metagan.checkpoints.write import write_safetensors
from metagan.datasets.source import evenly_spaced, stack
from metagan.files import write_bytes
from metagan.images.encode import encode
from metagan.images.sheet import contact_sheet
from metagan.networks.generator import Generator
from metagan.networks.loading.forms import describe
from metagan.sampling.latents import latents
from metagan.training.data_loader import Pictures, as_uint8
from metagan.values import Size

SHEET_SIDE_PX = 768
SHEET_MOST = 8  # pictures per row and column
DRAW_PIXELS = 2**17  # pixels drawn at once


def write_generator(
    path: Path, generator: Generator, facts: Mapping[str, Any], *, licence: str, source: str, half: bool
) -> None:
    """Write a generator in metagan's own format.

    Args:
        path: The file.
        generator: The moving average.
        facts: Facts about the training, for the header.
        licence: Licence for the header.
        source: Source for the header.
        half: Whether to store float16.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    header = dataclasses.replace(describe(generator), licence=licence, source=source, training=dict(facts))
    tensors = {name: t.half() if half else t for name, t in generator.state_dict().items()}
    write_safetensors(path, tensors, header)


@torch.inference_mode()
def draw(
    generator: Generator, seeds: range, labels: Tensor | None, device: torch.device
) -> NDArray[np.uint8]:
    """Draw untruncated pictures of these seeds, [n, 3, h, w], independently of the run's random state."""
    batch = max(1, min(64, DRAW_PIXELS // generator.size.pixels))
    z = latents(seeds, generator.z_dim)

    def drawn() -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(z), batch):
            chosen = None if labels is None else labels[start : start + batch].to(device)
            styles = generator.map_latents(z[start : start + batch].to(device), chosen)
            yield from as_uint8(generator.synthesize(styles)).cpu().numpy()

    return stack(drawn(), len(z))


def sheet_side(size: Size) -> int:
    """Return the number of pictures per row and column of a sheet."""
    return max(2, min(SHEET_MOST, SHEET_SIDE_PX // size.longest))


def write_sheet(path: Path, pictures: NDArray[np.uint8]) -> None:
    """Write pictures [n, 3, h, w] as a sheet of as many rows as columns, in PNG."""
    columns = round(len(pictures) ** 0.5)
    sheet = contact_sheet(iter(pictures.transpose(0, 2, 3, 1)), len(pictures), columns)
    write_bytes(path, encode(sheet, "png"))


def spread_labels(pictures: Pictures, count: int) -> Tensor | None:
    """Return labels of `count` real pictures, evenly spaced over the collection; None without labels."""
    if pictures.label_count == 0:
        return None
    picks = evenly_spaced(len(pictures), count)
    return torch.from_numpy(np.stack([pictures.label(index) for index in picks]))


def real_pictures(pictures: Pictures, count: int) -> NDArray[np.uint8]:
    """Return `count` real pictures, evenly spaced over the collection, [n, 3, h, w]."""
    picks = evenly_spaced(len(pictures), min(count, len(pictures)))
    return np.stack([pictures.pixels(index) for index in picks])
