"""The patch discriminator of upscaler training, whose features the perceptual loss compares.

References:
    [1] Isola et al. 2017, Image-to-Image Translation with Conditional Adversarial Networks, arXiv:1611.07004 (a
        discriminator of patches).
    [2] Miyato et al. 2018, Spectral Normalization for GANs, arXiv:1802.05957.
    [3] Wang et al. 2018, High-Resolution Image Synthesis with Conditional GANs, arXiv:1711.11585, section 3.2 (feature
        matching: a perceptual loss on the discriminator's own features).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

CHANNELS: Final = (32, 48, 64, 64)
SLOPE: Final = 0.2


class PatchDiscriminator(nn.Module):
    """Spectrally normalised convolutions of stride 2, with a logit for each patch of 16x16 pixels."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, *CHANNELS)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1))
            for inputs, outputs in pairwise(widths)
        )
        self.logit = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))
        self.activation = nn.LeakyReLU(SLOPE)

    def forward(self, pictures: Float[Tensor, "n 3 h w"]) -> tuple[list[Tensor], Float[Tensor, "m 1"]]:
        """Return the features of every layer, and the logits of all patches of all pictures in one column."""
        features, x = [], pictures
        for layer in self.layers:
            x = self.activation(layer(x))
            features.append(x)
        return features, self.logit(x).reshape(-1, 1)
