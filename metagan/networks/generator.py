"""The base class of all generators: what they are called with and what they return, whatever their architecture.

References:
    [1] Karras et al. 2019, A Style-Based Generator Architecture, arXiv:1812.04948 (styles, truncation).

Symbols: z latents, c labels (one-hot), w styles, psi truncation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from metagan.errors import OptionError, ShapeError
from metagan.networks.shapes import require_label, require_latents, require_styles
from metagan.values import LabelSpace, Size


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
        self._rngs = [torch.Generator().manual_seed(seed) for seed in seeds] if mode == "random" else []

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
        if len(self._rngs) != batch:
            msg = f"random noise: want a seed for each of {batch} pictures, got {len(self._rngs)}"
            raise ShapeError(msg)
        draw = torch.rand if uniform else torch.randn
        drawn = [draw(1, *stored.shape, generator=rng) for rng in self._rngs]
        return torch.stack(drawn).to(stored)


@runtime_checkable
class Synthesis(Protocol):
    """Styles to pictures: a generator's own, or a form of it that is prepared for speed."""

    def synthesize(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> Float[Tensor, "batch ch h w"]:
        """Styles to pictures, nominally within [-1, 1]; noise defaults to the checkpoint's own."""
        ...


@runtime_checkable
class PictureSynthesis(Protocol):
    """A form that makes bytes itself; a picture has the same bits in every batch and on any number of threads."""

    def synthesize(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> Float[Tensor, "batch ch h w"]:
        """Styles to pictures, nominally within [-1, 1]; noise defaults to the checkpoint's own."""
        ...

    def pictures(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> UInt8[Tensor, "batch h w ch"]:
        """Styles to bytes: trunc(clamp(127.5 x + 128, 0, 255)), as published generators round."""
        ...


class Generator(nn.Module, ABC):
    """A generator: `synthesize(map_latents(z))`.

    Subclasses implement `_map` and `_synthesize`; shapes are checked here, before these are called.

    Args:
        size: Of its pictures.
        image_channels: 3 for RGB, 4 with alpha, 1 for grey.
        z_dim: Width of its latents.
        c_dim: Width of its labels: the number of classes, or of a label's numbers; 0 if unconditional.
        num_ws: Styles a picture takes.
        w_dim: Width of a style.

    Attributes:
        architecture: The name in metagan's own files, "stylegan2".
        label_space: What the labels of a conditional generator mean, as far as its file says so.
    """

    architecture: ClassVar[str]

    def __init__(
        self, *, size: Size, image_channels: int, z_dim: int, c_dim: int, num_ws: int, w_dim: int
    ) -> None:
        super().__init__()
        self.size, self.image_channels = size, image_channels
        self.z_dim, self.c_dim = z_dim, c_dim
        self.num_ws, self.w_dim = num_ws, w_dim
        self.label_space = LabelSpace()

    @property
    def resolution(self) -> int:
        """The longer side of its pictures in pixels; of square ones, both."""
        return self.size.longest

    @abstractmethod
    def _map(
        self, z: Float[Tensor, "batch z_dim"], label: Float[Tensor, "batch c_dim"] | None
    ) -> Float[Tensor, "batch num_ws w_dim"]:
        """Latents to styles without truncation; the label is None where there are no classes."""

    @abstractmethod
    def _synthesize(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise
    ) -> Float[Tensor, "batch ch h w"]:
        """Styles to pictures."""

    def _mean_style(self) -> Float[Tensor, " w_dim"] | None:
        """What truncation pulls styles toward; None where there is no mean style."""
        return None

    def map_latents(
        self,
        z: Float[Tensor, "batch z_dim"],
        label: Float[Tensor, "batch c_dim"] | None = None,
        *,
        psi: float = 1.0,
        cutoff: int | None = None,
    ) -> Float[Tensor, "batch num_ws w_dim"]:
        """Map latents to styles, pulled toward the mean style by psi.

        [1] section 2 and appendix B: w' = mean + psi (w - mean).

        Args:
            z: Unit-normal latents, [batch, z_dim].
            label: Labels, [batch, c_dim], one-hot for classes; needed by conditional generators, ignored by others.
            psi: Truncation: 1 leaves styles as they are, 0 gives the mean picture.
            cutoff: How many of the styles to truncate, from the coarse end; None for all.

        Returns:
            Styles, [batch, num_ws, w_dim].

        Raises:
            ShapeError: z's width is not z_dim, or the label's not c_dim, or a conditional generator got no label.
            OptionError: psi is not 1 and there is no mean style.
        """
        require_latents(z, self.z_dim)
        ws = self._map(z.float(), require_label(label, self.c_dim).float() if self.c_dim else None)
        if psi == 1:
            return ws
        mean = self._mean_style()
        if mean is None:
            raise OptionError(
                f"psi {psi:g}: this checkpoint has no mean style to truncate toward", fix="use psi 1"
            )
        truncated = torch.lerp(mean, ws[:, :cutoff], psi)
        return truncated if cutoff is None else torch.cat([truncated, ws[:, cutoff:]], dim=1)

    def synthesize(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> Float[Tensor, "batch ch h w"]:
        """Draw pictures from styles.

        Args:
            ws: Styles, [batch, num_ws, w_dim].
            noise: Where noise comes from; the checkpoint's constant noise when None. Architectures without noise
                ignore it.

        Returns:
            Pictures, [batch, image_channels, height, width], nominally within [-1, 1].

        Raises:
            ShapeError: There are more or fewer styles than num_ws, or their width is not w_dim.
        """
        require_styles(ws, self.num_ws, self.w_dim)
        return self._synthesize(ws, noise or Noise("const"))
