"""A plain transcription of StyleGAN2's synthesis, to measure against: each step as the paper describes it.

Karras et al. 2020, arXiv:1912.04958, section 2.2 and figure 2: every picture has kernels of its own, modulated and
demodulated; a batch convolves them in groups. To upsample, zeros are inserted, and a padded filter smooths the result.
"""

import math

import torch.nn.functional as F
from torch import Tensor

from metagan.networks.stylegan2.network import StyledConv, StyleGAN2, ToRGB


def synthesize(network: StyleGAN2, ws: Tensor) -> Tensor:
    """Styles to pictures, of a generator with output skips and constant noise, as published ones have."""
    x, image, at = network.constant.expand(len(ws), -1, -1, -1), None, 0
    for block in network.blocks:
        for layer in (block.conv0, block.conv1):
            if layer is not None:
                x, at = _layer(layer, x, ws[:, at]), at + 1
        if image is not None:
            image = _upsample(image, block.image_taps, (2, 1))
        rgb = _to_rgb(block.to_rgb, x, ws[:, at])
        image = rgb if image is None else image + rgb
    return image


def _layer(layer: StyledConv, x: Tensor, w: Tensor) -> Tensor:
    s = layer.affine(w)
    kernels = layer.weight[None] * s[:, None, :, None, None]
    kernels = kernels * (kernels.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    if layer.taps is None:
        x = _convolve_each(x, kernels, padding=1)
    else:
        x = _convolve_each(_upsample(x, layer.taps, (3, 2)), kernels.flip(3, 4), padding=0)
    x = x + layer.noise * layer.noise_strength
    x = x + layer.bias[:, None, None]
    x = F.leaky_relu(x, 0.2) * math.sqrt(2)
    return x if layer.clamp is None else x.clamp(-layer.clamp, layer.clamp)


def _to_rgb(layer: ToRGB, x: Tensor, w: Tensor) -> Tensor:
    kernels = layer.weight[None] * (layer.affine(w) * layer.weight_gain)[:, None, :, None, None]
    x = _convolve_each(x, kernels, padding=0) + layer.bias[:, None, None]
    return x if layer.clamp is None else x.clamp(-layer.clamp, layer.clamp)


def _convolve_each(x: Tensor, kernels: Tensor, padding: int) -> Tensor:
    """Each picture [n, in, h, w] with its own kernels [n, out, in, k, k]."""
    n, _, *size = x.shape
    x = F.conv2d(x.reshape(1, -1, *size), kernels.flatten(0, 1), padding=padding, groups=n)
    return x.view(n, -1, *x.shape[2:])


def _upsample(x: Tensor, taps: Tensor, pads: tuple[int, int]) -> Tensor:
    n, c, h, w = x.shape
    x = F.pad(x[:, :, :, None, :, None], (0, 1, 0, 0, 0, 1)).reshape(n, c, 2 * h, 2 * w)
    return F.conv2d(F.pad(x, (*pads, *pads)), (taps * 4).flip(0, 1).expand(c, 1, -1, -1), groups=c)
