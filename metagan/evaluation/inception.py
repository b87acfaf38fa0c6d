"""FID and KID by torch-fidelity, for whoever has its Inception weights and the extra `metagan[evaluate]`.

References:
    [1] Heusel et al. 2017, GANs Trained by a Two Time-Scale Update Rule, arXiv:1706.08500 (FID).
    [2] Bińkowski et al. 2018, Demystifying MMD GANs, arXiv:1801.01401 (KID).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from metagan.errors import OptionError

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"  # torch-fidelity's; the name ends with its SHA-256's beginning
SHA256_BEGINS = "6726825d"


class _Bytes(Dataset[torch.Tensor]):
    """Pictures as torch-fidelity wants them: uint8, [3, h, w]."""

    def __init__(self, pictures: NDArray[np.uint8]) -> None:
        self._pictures = pictures

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self._pictures[index])


def require_inception(weights: Path) -> None:
    """Refuse Inception weights that aren't torch-fidelity's own, before anything else is done.

    The library unpickles them, so that another file could run code.

    Raises:
        OptionError: The extra isn't installed, or the file is another one.
    """
    try:
        import torch_fidelity  # noqa: F401
    except ImportError as error:
        msg = "--inception: torch-fidelity isn't installed; run `pip install 'metagan[evaluate]'`"
        raise OptionError(msg) from error
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if not found.startswith(SHA256_BEGINS):
        msg = f"--inception {weights}: want torch-fidelity's {WEIGHTS}, whose SHA-256 begins with {SHA256_BEGINS}"
        raise OptionError(f"{msg}; this file's is {found}")


def inception_distances(
    made: NDArray[np.uint8], real: NDArray[np.uint8], weights: Path, device: torch.device
) -> dict[str, float]:
    """FID [1] and KID [2] of made pictures.

    Args:
        made: [n, 3, h, w].
        real: [m, 3, h, w]; published figures use 50,000 and all there are, fewer give a higher FID.
        weights: What `require_inception` has let pass.
        device: Where Inception runs.

    Returns:
        "fid", "kid" and "kid_deviation" (over subsets of at most 1,000 pictures).
    """
    from torch_fidelity import calculate_metrics

    measured: dict[str, Any] = calculate_metrics(
        input1=_Bytes(made),
        input2=_Bytes(real),
        cuda=device.type == "cuda",
        fid=True,
        kid=True,
        kid_subset_size=min(1000, len(made), len(real)),
        feature_extractor_weights_path=str(weights),
        cache=False,
        save_cpu_ram=True,  # no processes of its own
        verbose=False,
    )
    return {
        "fid": float(measured["frechet_inception_distance"]),
        "kid": float(measured["kernel_inception_distance_mean"]),
        "kid_deviation": float(measured["kernel_inception_distance_std"]),
    }
