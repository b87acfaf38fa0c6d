"""Batches of uint8 pictures from a generator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from metagan.errors import DeviceError
from metagan.networks.generator import Generator, Noise
from metagan.sampling.latents import labels, latents

Picture = NDArray[np.uint8]

BATCH_PIXELS = 2**19  # a batch's pixels when its size is left to us: 8 pictures of 256x256
BATCH_LIMIT = 32


@dataclass(frozen=True)
class Settings:
    """How to draw, the same for every picture.

    Args:
        psi: Truncation: 1 leaves styles as they are, 0 gives the mean picture.
        cutoff: How many styles to truncate, from the coarse end; None for all.
        class_index: The class of a conditional generator; ignored by others.
        noise: "const", "random" (from each picture's seed) or "none".
    """

    psi: float = 1.0
    cutoff: int | None = None
    class_index: int | None = None
    noise: str = "const"


def automatic_batch(resolution: int) -> int:
    """How many pictures to make at once: a function of their size alone, so that the same site gets the same bytes."""
    return max(1, min(BATCH_LIMIT, BATCH_PIXELS // resolution**2))


def to_uint8(images: Float[Tensor, "batch ch h w"]) -> list[Picture]:
    """Pictures nominally within [-1, 1] to [h, w, ch] bytes: trunc(clamp(127.5 x + 128, 0, 255)), as published
    generators round.
    """
    scaled = (images.float() * 127.5 + 128).clamp(0, 255).to(torch.uint8)
    return list(scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy())


class Sampler:
    """Draws pictures from one generator on one device.

    Every batch has the same size, the last one is filled up with repetitions: convolution kernels choose their order
    of summation by the batch's shape, and a picture shall not depend on how many others were asked for.

    Args:
        generator: Any generator.
        device: Where to run it.
        batch: Pictures at once, or None to choose by their size.
    """

    def __init__(self, generator: Generator, device: torch.device, batch: int | None = None) -> None:
        self.generator = generator.to(device)
        self.device = device
        self.batch = batch or automatic_batch(generator.resolution)

    def pictures(self, seeds: Sequence[int], settings: Settings) -> Iterator[tuple[int, Picture]]:
        """Each seed with its picture [h, w, ch], in the order asked for.

        Raises:
            OptionError: The class is missing or out of range.
            DeviceError: Not even a single picture fits into the device's memory.
        """
        start = 0
        while start < len(seeds):
            chunk = list(seeds[start : start + self.batch])
            try:
                drawn = self._draw(chunk + chunk[-1:] * (self.batch - len(chunk)), settings)
            except torch.cuda.OutOfMemoryError as error:
                self._halve(error)
                continue
            yield from zip(chunk, drawn, strict=False)
            start += len(chunk)

    @torch.inference_mode()
    def _draw(self, seeds: list[int], settings: Settings) -> list[Picture]:
        z = latents(seeds, self.generator.z_dim).to(self.device)
        label = labels(settings.class_index, self.generator.c_dim, len(seeds))
        label = None if label is None else label.to(self.device)
        ws = self.generator.map_latents(z, label, psi=settings.psi, cutoff=settings.cutoff)
        return to_uint8(self.generator.synthesize(ws, Noise(settings.noise, seeds)))

    def _halve(self, error: torch.cuda.OutOfMemoryError) -> None:
        if self.batch == 1:
            msg = f"{self.device}: not even one picture fits into its memory; try --device cpu"
            raise DeviceError(msg) from error
        self.batch //= 2
