"""What the rest of metagan asks of a generator, whatever its architecture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from metagan.errors import ShapeError


class Noise:
    """Where a synthesis network takes its per-pixel noise from.

    "const" is the noise stored in the checkpoint, "none" is none at all. "random" is drawn from each picture's own
    seed, layer by layer, so that a picture doesn't depend on the batch it is made in.
    """

    def __init__(self, mode: str = "const", seeds: Sequence[int] = ()) -> None:
        if mode not in ("const", "random", "none"):
            msg = f"noise: want const, random or none, got {mode!r}"
            raise ValueError(msg)
        self.mode = mode
        self._sources = [torch.Generator().manual_seed(seed) for seed in seeds] if mode == "random" else []

    def image(self, stored: Float[Tensor, "h w"], batch: int, *, uniform: bool = False) -> Tensor | None:
        """The next layer's noise image, [h, w] for all pictures or [batch, 1, h, w]; None for no noise.

        Args:
            stored: The checkpoint's noise image.
            batch: How many pictures there are.
            uniform: Draw within [0, 1) instead of unit-normal.

        Raises:
            ShapeError: The mode is "random" and there isn't a seed for each picture of the batch.
        """
        if self.mode == "none":
            return None
        if self.mode == "const":
            return stored
        if len(self._sources) != batch:
            msg = f"random noise: want a seed for each of {batch} pictures, got {len(self._sources)}"
            raise ShapeError(msg)
        draw = torch.rand if uniform else torch.randn
        drawn = [draw(1, *stored.shape, generator=source) for source in self._sources]
        return torch.stack(drawn).to(stored)


@runtime_checkable
class Synthesis(Protocol):
    """Styles to pictures: a generator's own, or a form of it that is prepared for speed."""

    def synthesize(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> Float[Tensor, "batch ch res res"]:
        """Styles to pictures, nominally within [-1, 1]; noise defaults to the checkpoint's own."""
        ...


@runtime_checkable
class PictureSynthesis(Protocol):
    """A form that makes bytes itself; a picture has the same bits in every batch and on any number of threads."""

    def synthesize(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> Float[Tensor, "batch ch res res"]:
        """Styles to pictures, nominally within [-1, 1]; noise defaults to the checkpoint's own."""
        ...

    def pictures(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> UInt8[Tensor, "batch res res ch"]:
        """Styles to bytes: trunc(clamp(127.5 x + 128, 0, 255)), as published generators round."""
        ...


@runtime_checkable
class Generator(Protocol):
    """A trained generator, ready to be sampled.

    Attributes:
        architecture: The name it has in metagan's own files, "stylegan2".
        resolution: Height and width of its pictures in pixels.
        image_channels: 3 for RGB, 4 with alpha, 1 for grey.
        z_dim: Width of its latents.
        c_dim: Number of classes; 0 if unconditional.
    """

    architecture: str
    resolution: int
    image_channels: int
    z_dim: int
    c_dim: int

    def map_latents(
        self,
        z: Float[Tensor, "batch z_dim"],
        label: Float[Tensor, "batch c_dim"] | None = None,
        *,
        psi: float = 1.0,
        cutoff: int | None = None,
    ) -> Float[Tensor, "batch num_ws w_dim"]:
        """Latents to styles, pulled toward the mean style by psi."""
        ...

    def synthesize(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> Float[Tensor, "batch ch res res"]:
        """Styles to pictures, nominally within [-1, 1]; noise defaults to the checkpoint's own."""
        ...

    def to(self, device: torch.device) -> Generator:
        """The same generator on another device."""
        ...

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Its trained tensors."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Every tensor by our own names."""
        ...
