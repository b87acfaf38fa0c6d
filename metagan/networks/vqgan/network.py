"""VQGAN: an encoder, a codebook, and a decoder.

References:
    [1] Esser et al. 2021, Taming Transformers for High-Resolution Image Synthesis, arXiv:2012.09841 (section 3.1: the
        quantised autoencoder; supplement, table 7: the layers of encoder and decoder).
    [2] van den Oord et al. 2017, Neural Discrete Representation Learning, arXiv:1711.00937 (the nearest code).
    [3] Jang et al. 2017, Categorical Reparameterization with Gumbel-Softmax, arXiv:1611.01144 (codes by logits).
    [4] Ramachandran et al. 2017, Searching for Activation Functions, arXiv:1710.05941 (swish).

Symbols: x pictures, h the encoder's features, z features before and zq after quantisation. The layers are
convolutional, so pictures may have any size that is a multiple of `VQGANConfig.factor`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from metagan.errors import MalformedFileError

GROUPS: Final = 32
EPSILON: Final = 1e-6
MOST_CHANNELS: Final = 4096
MOST_LEVELS: Final = 10
MOST_BLOCKS: Final = 16
MOST_CODES: Final = 1 << 20
DISTANCES: Final = 1 << 24  # distances to codes that are held at once, 64 MiB

Call = Callable[[nn.Module, Tensor], Tensor]


@dataclass(frozen=True)
class VQGANConfig:
    """A VQGAN's configuration.

    Args:
        widths: Channels of each level, from the full resolution down; each level has half the resolution of the one
            before it.
        channels: Channels of the convolution at full resolution.
        blocks: Residual blocks of each level of the encoder; the decoder has one more.
        attention: The levels with attention, from 0.
        z_channels: Channels of the encoder's last and the decoder's first features.
        code_dim: Width of a code.
        codes: Number of codes.
        gumbel: Whether the encoder chooses codes by logits, [3], instead of by distance, [2].
        convolve: Whether levels are resampled with a convolution, instead of by means and copies alone.
    """

    widths: tuple[int, ...]
    channels: int
    blocks: int
    attention: tuple[int, ...]
    z_channels: int
    code_dim: int
    codes: int
    gumbel: bool = False
    convolve: bool = True

    @property
    def factor(self) -> int:
        """Pixels of a picture per feature, in width and in height."""
        return 1 << (len(self.widths) - 1)

    def check(self) -> None:
        """Check the ranges of all fields.

        Raises:
            MalformedFileError: If a field is out of range, or a width is no multiple of the groups of normalisation.
        """
        if not 1 <= len(self.widths) <= MOST_LEVELS:
            raise MalformedFileError(f"a VQGAN of {len(self.widths)} levels; want 1 to {MOST_LEVELS}")
        for width in (self.channels, *self.widths):
            if not GROUPS <= width <= MOST_CHANNELS or width % GROUPS:
                raise MalformedFileError(
                    f"a VQGAN's level of {width} channels; want a multiple of {GROUPS} up to {MOST_CHANNELS}"
                )
        spans = {
            "blocks": MOST_BLOCKS,
            "z_channels": MOST_CHANNELS,
            "code_dim": MOST_CHANNELS,
            "codes": MOST_CODES,
        }
        for name, most in spans.items():
            if not 1 <= getattr(self, name) <= most:
                raise MalformedFileError(f"a VQGAN's {name}: want 1 to {most}, got {getattr(self, name)}")


class VQGAN(nn.Module):
    """Pictures to codes and back.

    Args:
        config: Its configuration.

    Raises:
        MalformedFileError: If the configuration is out of range.
    """

    def __init__(self, config: VQGANConfig) -> None:
        config.check()
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.to_code = nn.Conv2d(config.z_channels, config.code_dim, 1)
        if config.gumbel:
            self.logits = nn.Conv2d(config.code_dim, config.codes, 1)
        self.codebook = nn.Parameter(torch.empty(config.codes, config.code_dim))
        self.from_code = nn.Conv2d(config.code_dim, config.z_channels, 1)
        self.decoder = Decoder(config)

    def encode(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n code_dim small_h small_w"]:
        """Return the features of pictures within [-1, 1], not yet quantised.

        Width and height have to be multiples of `config.factor`.
        """
        features: Tensor = self.to_code(self.encoder(pictures))
        return features

    def choose(self, features: Float[Tensor, "n code_dim h w"]) -> Int[Tensor, "n h w"]:
        """Return the codes that stand for the encoder's features: by logits if the network has them, or the nearest."""
        return self.logits(features).argmax(dim=1) if self.config.gumbel else self.nearest(features)

    def nearest(self, features: Float[Tensor, "n code_dim h w"]) -> Int[Tensor, "n h w"]:
        """Return the codes nearest to features by Euclidean distance, [1] equation 2."""
        rows = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
        lengths = self.codebook.square().sum(dim=1)
        step = max(1, DISTANCES // self.config.codes)
        # |row - code|^2 without |row|^2, which is the same for all codes.
        chosen = [
            torch.addmm(lengths, part, self.codebook.t(), alpha=-2).argmin(dim=1)
            for part in torch.split(rows, step)
        ]
        return torch.cat(chosen).view(features.shape[0], *features.shape[2:])

    def look_up(self, codes: Int[Tensor, "n h w"]) -> Float[Tensor, "n code_dim h w"]:
        """Return the quantised features of codes."""
        return F.embedding(codes, self.codebook).permute(0, 3, 1, 2).contiguous()

    def decode(
        self, quantised: Float[Tensor, "n code_dim h w"], call: Call | None = None
    ) -> Float[Tensor, "n 3 up_h up_w"]:
        """Draw quantised features, as pictures nominally within [-1, 1].

        Args:
            quantised: From `look_up`.
            call: Calls each of the decoder's layers; `recompute` saves memory in training. None only calls it.
        """
        pictures: Tensor = self.decoder(self.from_code(quantised), call or _called)
        return pictures


def _called(layer: nn.Module, x: Tensor) -> Tensor:
    result: Tensor = layer(x)
    return result


def recompute(layer: nn.Module, x: Tensor) -> Tensor:
    """Call a layer, and call it again in the backward pass instead of keeping what is inside (arXiv:1604.06174)."""
    result: Tensor = checkpoint(layer, x, use_reentrant=False)
    return result


class Level(nn.Module):
    """The layers of one resolution: residual blocks, each with attention after it or not, and the resampling.

    Args:
        inputs: Channels that come in.
        width: Channels that go out.
        blocks: Number of blocks.
        attention: Whether there is attention.
        resample: The last layer, to another resolution; None for the end.
    """

    def __init__(
        self, inputs: int, width: int, blocks: int, *, attention: bool, resample: nn.Module | None
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(inputs if index == 0 else width, width) for index in range(blocks))
        self.attentions = nn.ModuleList(Attention(width) for _ in range(blocks if attention else 0))
        self.resample = resample

    def layers(self) -> Iterator[nn.Module]:
        """Yield the layers in order."""
        for index, block in enumerate(self.blocks):
            yield block
            if len(self.attentions):
                yield self.attentions[index]
        if self.resample is not None:
            yield self.resample


class Encoder(nn.Module):
    """[1] table 7, left: levels of falling resolution, attention in the middle, and the features."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, config.channels, 3, padding=1)
        self.levels = nn.ModuleList()
        inputs = config.channels
        for index, width in enumerate(config.widths):
            last = index == len(config.widths) - 1
            resample = None if last else Half(width if config.convolve else 0)
            attention = index in config.attention
            self.levels.append(Level(inputs, width, config.blocks, attention=attention, resample=resample))
            inputs = width
        self.middle = _middle(inputs)
        self.norm = nn.GroupNorm(GROUPS, inputs, EPSILON)
        self.last = nn.Conv2d(inputs, config.z_channels, 3, padding=1)

    def forward(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n z_channels small_h small_w"]:
        """Map pictures to features."""
        x = self.first(pictures)
        for level in _levels(self.levels):
            for layer in level.layers():
                x = layer(x)
        for layer in self.middle:
            x = layer(x)
        result: Tensor = self.last(F.silu(self.norm(x)))
        return result


class Decoder(nn.Module):
    """[1] table 7, right: attention in the middle, levels of rising resolution, and the picture."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        inputs = config.widths[-1]
        self.first = nn.Conv2d(config.z_channels, inputs, 3, padding=1)
        self.middle = _middle(inputs)
        levels = []
        for index, width in reversed(list(enumerate(config.widths))):
            resample = Double(width if config.convolve else 0) if index else None
            attention = index in config.attention
            levels.append(Level(inputs, width, config.blocks + 1, attention=attention, resample=resample))
            inputs = width
        self.levels = nn.ModuleList(reversed(levels))  # numbered as the encoder's
        self.norm = nn.GroupNorm(GROUPS, inputs, EPSILON)
        self.last = nn.Conv2d(inputs, 3, 3, padding=1)

    def forward(
        self, features: Float[Tensor, "n z_channels small_h small_w"], call: Call = _called
    ) -> Float[Tensor, "n 3 h w"]:
        """Map features to pictures; each layer is called by `call`."""
        x = self.first(features)
        for layer in self.middle:
            x = call(layer, x)
        for level in reversed(_levels(self.levels)):
            for layer in level.layers():
                x = call(layer, x)
        result: Tensor = self.last(F.silu(self.norm(x)))
        return result


def _levels(levels: nn.ModuleList) -> list[Level]:
    return cast("list[Level]", list(levels))


def _middle(width: int) -> nn.ModuleList:
    return nn.ModuleList([Block(width, width), Attention(width), Block(width, width)])


class Block(nn.Module):
    """x + conv(swish(norm(conv(swish(norm(x)))))), with a 1x1 convolution of x where the width changes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm_a = nn.GroupNorm(GROUPS, inputs, EPSILON)
        self.conv_a = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm_b = nn.GroupNorm(GROUPS, outputs, EPSILON)
        self.conv_b = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Float[Tensor, "n inputs h w"]) -> Float[Tensor, "n outputs h w"]:
        """Map features to features of the same resolution."""
        residual: Tensor = self.conv_a(F.silu(self.norm_a(x)))
        residual = self.conv_b(F.silu(self.norm_b(residual)))
        return residual + (x if self.shortcut is None else self.shortcut(x))


class Attention(nn.Module):
    """x + out(attention between all places), one head, [1] supplement."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, width, EPSILON)
        self.query, self.key, self.value, self.out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Map features to features of the same shape."""
        normed = self.norm(x)
        query, key, value = (
            layer(normed).flatten(2).transpose(1, 2)[:, None] for layer in (self.query, self.key, self.value)
        )
        seen = F.scaled_dot_product_attention(query, key, value)[:, 0]
        result: Tensor = x + self.out(seen.transpose(1, 2).reshape(x.shape))
        return result


class Half(nn.Module):
    """To half the resolution: a convolution of stride 2 after a row and a column of zeros at the end, or means.

    Args:
        width: Channels of the convolution; 0 for means.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 3, stride=2) if width else None

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c half_h half_w"]:
        """Halve width and height."""
        if self.convolution is None:
            return F.avg_pool2d(x, 2)
        result: Tensor = self.convolution(F.pad(x, (0, 1, 0, 1)))
        return result


class Double(nn.Module):
    """To twice the resolution: each feature four times, and a convolution.

    Args:
        width: Channels of the convolution; 0 for none.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 3, padding=1) if width else None

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c twice_h twice_w"]:
        """Double width and height."""
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        return x if self.convolution is None else _called(self.convolution, x)
