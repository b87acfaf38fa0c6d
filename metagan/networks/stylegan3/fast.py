"""StyleGAN3's synthesis as it is sampled: network.py's pictures, with what all pictures share worked out beforehand.

Convolutions may be in bfloat16, but for those of one tap (configuration R's), which gain nothing by it; filters and the
conversion to RGB are float32.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from metagan.networks.generator import Noise
from metagan.networks.ops import FoldedDense
from metagan.networks.shapes import require_styles
from metagan.networks.stylegan3.filtering import filter_leaky_relu, make_filters
from metagan.networks.stylegan3.network import Layer, StyleGAN3


class _Layer:
    """A Layer."""

    def __init__(self, layer: Layer, dtype: torch.dtype) -> None:
        config = layer.config
        weight: Tensor = layer.weight
        self.to_rgb, self.padding, self.clamp = layer.to_rgb, config.kernel_size - 1, config.clamp
        self.slope, gain = (1.0, 1.0) if layer.to_rgb else (0.2, math.sqrt(2))
        self.affine = FoldedDense(layer.affine, 1 / math.sqrt(weight[0].numel()) if layer.to_rgb else 1.0)
        if not layer.to_rgb:
            weight = weight * weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
        self.energies = weight.square().sum(dim=(2, 3)).t().contiguous()
        self.narrow = dtype != torch.float32 and config.kernel_size > 1 and not layer.to_rgb
        self.kernel = (
            weight.to(dtype).contiguous(memory_format=torch.channels_last) if self.narrow else weight
        )
        self.input_gain, self.bias = layer.magnitude.rsqrt(), layer.bias
        size = config.in_size + config.kernel_size - 1
        taps = (layer.up_taps, layer.down_taps)
        self.filters = make_filters((size, size), *taps, layer.resampling, gain, like=layer.bias)

    def __call__(self, x: Tensor, w: Float[Tensor, "n w_dim"]) -> Tensor:
        s = self.affine(w)
        if self.to_rgb:
            scale = self.input_gain.expand(len(x), len(self.kernel))
        else:
            s = s * s.square().mean(dim=1, keepdim=True).rsqrt()
            scale = (s.square() @ self.energies + 1e-8).rsqrt() * self.input_gain
        x = x * s[:, :, None, None]
        if self.narrow:
            x = x.to(self.kernel.dtype, memory_format=torch.channels_last)
        x = F.conv2d(x, self.kernel, padding=self.padding)
        return filter_leaky_relu(x, scale, self.bias, self.filters, slope=self.slope, clamp=self.clamp)


class FastSynthesis:
    """A StyleGAN3's synthesis, prepared for the device that the network is on.

    Args:
        network: Where weights come from; later changes to them are not seen.
        dtype: Of the convolutions.
    """

    def __init__(self, network: StyleGAN3, dtype: torch.dtype = torch.float32) -> None:
        self.shape = (network.num_ws, network.w_dim)
        # Sums over a batch of another size are rounded otherwise, and each layer rounds the difference up.
        self.alone = dtype != torch.float32 and network.input.freqs.device.type == "cpu"
        self.input, self.output_scale = network.input, network.config.output_scale
        with torch.no_grad():
            self.layers = [_Layer(layer, dtype) for layer in network.layers if isinstance(layer, Layer)]

    def synthesize(
        self, ws: Float[Tensor, "batch num_ws w_dim"], noise: Noise | None = None
    ) -> Float[Tensor, "batch ch res res"]:
        """Styles to pictures, nominally within [-1, 1]: `StyleGAN3.synthesize`, without gradients.

        Raises:
            ShapeError: There are more or fewer styles, or of another width.
        """
        del noise
        require_styles(ws, *self.shape)
        with torch.no_grad():
            parts = torch.split(ws, 1 if self.alone else len(ws))
            return torch.cat([self._draw(part) for part in parts])

    def _draw(self, ws: Tensor) -> Tensor:
        x: Tensor = self.input(ws[:, 0])
        for index, layer in enumerate(self.layers):
            x = layer(x, ws[:, index + 1])
        return x * self.output_scale


def prepare(generator: nn.Module, dtype: torch.dtype) -> FastSynthesis:
    """A StyleGAN3's fast synthesis on the generator's device."""
    return FastSynthesis(cast("StyleGAN3", generator), dtype)
