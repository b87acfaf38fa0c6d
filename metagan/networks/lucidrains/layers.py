"""Layers of both networks of lucidrains' variant: attention and blurring.

References:
    [1] Shen et al. 2021, Efficient Attention: Attention with Linear Complexities, arXiv:1812.01243.
    [2] Zhang 2019, Making Convolutional Networks Shift-Invariant Again, arXiv:1904.11486.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD_WIDTH = 64
SLOPE = 0.2


class ChannelNorm(nn.Module):
    """Normalises each pixel's channels to mean 0 and variance 1, then scales and shifts them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Features [n, c, h, w] to the same shape."""
        variance, mean = torch.var_mean(x, dim=1, unbiased=False, keepdim=True)
        return (x - mean) * (variance + 1e-5).rsqrt() * self.scale + self.shift


class LinearAttention(nn.Module):
    """Attention whose cost is linear in the number of pixels ([1] section 3.2)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, width = heads, heads * HEAD_WIDTH
        self.to_query = nn.Conv2d(channels, width, 1, bias=False)
        self.spread = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.to_key_value = nn.Conv2d(channels, 2 * width, 1, bias=False)
        self.to_out = nn.Conv2d(width, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Features [n, c, h, w] to the same shape."""
        n, _, h, w = x.shape
        key, value = self.to_key_value(self.spread(x)).chunk(2, dim=1)
        q, k, v = (part.reshape(n, self.heads, -1, h * w) for part in (self.to_query(x), key, value))
        q = q.softmax(dim=2) / math.sqrt(HEAD_WIDTH)
        context = k.softmax(dim=3) @ v.transpose(2, 3)  # [n, heads, width of k, width of v]
        out = context.transpose(2, 3) @ q
        attended: Tensor = self.to_out(F.gelu(out.reshape(n, -1, h, w)))
        return attended


class AttentionBlock(nn.Module):
    """Two residual steps: linear attention, then two 1x1 convolutions."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attention = ChannelNorm(channels), LinearAttention(channels, heads)
        self.norm2 = ChannelNorm(channels)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.narrow = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Features [n, c, h, w] to the same shape."""
        x = x + self.attention(self.norm1(x))
        step: Tensor = self.narrow(F.leaky_relu(self.widen(self.norm2(x)), SLOPE))
        return x + step


class Blur(nn.Module):
    """A small low-pass filter along both axes, with mirrored borders ([2] section 3)."""

    taps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("taps", torch.tensor([1.0, 2.0, 1.0]))

    def forward(self, x: Tensor) -> Tensor:
        """Features [n, c, h, w] to the same shape."""
        channels = x.shape[1]
        kernel = torch.outer(self.taps, self.taps)
        kernel = (kernel / kernel.abs().sum()).to(x.dtype)
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(x, kernel.expand(channels, 1, 3, 3), groups=channels)
