"""The mapping network that all official StyleGANs share: latents and labels to styles.

References:
    [1] Karras et al. 2019, A Style-Based Generator Architecture, arXiv:1812.04948, section 2 (mapping, truncation).
    [2] Karras et al. 2020, Training GANs with Limited Data, arXiv:2006.06676, section A (conditioning).

Symbols: z latents, c labels (one-hot), w styles, psi truncation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from metagan.errors import MalformedFileError
from metagan.networks.ops import Dense, normalize_second_moment

# The mean style of checkpoints that store none: fixed latents, mapped and averaged.
#
# Karras et al. 2019, arXiv:1812.04948, section 2.2 of the appendix: truncation pulls styles toward their mean. Other
# programs draw new latents at each start, so that pictures differ slightly between runs; metagan uses fixed ones.

SAMPLES = 4096
MEAN_STYLE_NOTE = (
    f"the file stores no mean style; truncation pulls toward the mean of {SAMPLES:,} fixed latents"
)


def mean_style(
    mapping: Callable[[Float[Tensor, "batch z_dim"]], Float[Tensor, "batch w_dim"]], z_dim: int
) -> Float[Tensor, " w_dim"]:
    """Return the mean of the styles of `numpy.random.RandomState(0).randn(4096, z_dim)`.

    Args:
        mapping: Maps unit-normal latents to styles.
        z_dim: Width of the latents.

    Raises:
        MalformedFileError: If the mean is not finite, because weights are too large.
    """
    z = torch.from_numpy(np.random.RandomState(0).randn(SAMPLES, z_dim)).float()
    with torch.no_grad():
        mean = mapping(z).mean(dim=0)
    if not torch.isfinite(mean).all():
        raise MalformedFileError(
            "its mapping network has weights so large that styles are no numbers",
            fix="the training went wrong; take an earlier snapshot",
        )
    return mean


@dataclass(frozen=True)
class MappingConfig:
    """The mapping network's configuration.

    Args:
        z_dim: Width of the latents; 0 in a discriminator's label mapping.
        c_dim: Number of classes; 0 if unconditional.
        embed_dim: Width of the label embedding; 0 if unconditional.
        widths: Output width of each layer; the last is w_dim. A discriminator's may have none.
        activation: Activation of every layer, by its name in ops.ACTIVATIONS.
        lr_multiplier: Learning-rate multiplier, folded into the stored weights.
        has_mean_style: Whether the mean style is known. Without it, psi must be 1.
    """

    z_dim: int
    c_dim: int
    embed_dim: int
    widths: tuple[int, ...]
    activation: str = "lrelu"
    lr_multiplier: float = 0.01
    has_mean_style: bool = True

    @property
    def w_dim(self) -> int:
        """Width of the styles; without layers (in discriminators of TensorFlow's files) the width of the inputs."""
        return self.widths[-1] if self.widths else self.z_dim + self.embed_dim


class Mapping(nn.Module):
    """The mapping network: latents and labels to styles."""

    mean_style: Tensor | None

    def __init__(self, config: MappingConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = Dense(config.c_dim, config.embed_dim) if config.c_dim else None
        widths = (config.z_dim + config.embed_dim, *config.widths)
        self.layers = nn.ModuleList(
            Dense(before, after, activation=config.activation, lr_multiplier=config.lr_multiplier)
            for before, after in pairwise(widths)
        )
        self.register_buffer("mean_style", torch.zeros(config.w_dim) if config.has_mean_style else None)

    def forward(
        self, z: Float[Tensor, "batch z_dim"], label: Float[Tensor, "batch c_dim"] | None = None
    ) -> Float[Tensor, "batch w_dim"]:
        """Return styles without truncation; latents and the label's embedding are normalised separately.

        Callers check shapes and types.

        Args:
            z: Unit-normal latents, [batch, z_dim].
            label: One-hot labels, [batch, c_dim]; None if unconditional.
        """
        parts = [normalize_second_moment(z)] if self.config.z_dim else []
        if self.embed is not None and label is not None:
            parts.append(normalize_second_moment(self.embed(label)))
        x: Tensor = torch.cat(parts, dim=1)
        for layer in self.layers:
            x = layer(x)
        return x
