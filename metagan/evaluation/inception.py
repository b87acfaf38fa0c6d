"""FID and KID by torch-fidelity, for whoever has Inception's weights and the extra `metagan[evaluate]`.

References:
    [1] Heusel et al. 2017, GANs Trained by a Two Time-Scale Update Rule, arXiv:1706.08500 (FID).
    [2] Bińkowski et al. 2018, Demystifying MMD GANs, arXiv:1801.01401 (KID).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from metagan.checkpoints.cache import cache_folder
from metagan.errors import OptionError
from metagan.evaluation.inception_weights import InceptionFile, find_inception, read_packaged


class _Bytes(Dataset[torch.Tensor]):
    """Pictures as torch-fidelity wants them: uint8, [3, h, w]."""

    def __init__(self, pictures: NDArray[np.uint8], advance: Callable[[int], None]) -> None:
        self._pictures, self._advance = pictures, advance

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> torch.Tensor:
        self._advance(1)
        return torch.from_numpy(self._pictures[index])


def require_inception(asked: Path) -> InceptionFile:
    """What FID and KID need, before anything else is done: the extra, and weights of a known origin.

    torch-fidelity unpickles its own file, so that another could run code.

    Args:
        asked: As for `find_inception`.

    Raises:
        OptionError: The extra isn't installed, no weights are at hand, or the file is another one.
    """
    try:
        import torch_fidelity  # noqa: F401
    except ImportError as error:
        msg = "--inception: torch-fidelity isn't installed; run `pip install 'metagan[evaluate]'`"
        raise OptionError(msg) from error
    return find_inception(asked)


class Inception:
    """FID [1] and KID [2] of made pictures, again and again beside the same real ones.

    Args:
        weights: What `require_inception` found.
        real: [m, 3, h, w]; published figures use 50,000 made and all the real pictures there are, fewer give a higher
            FID. Their features stay in the user's cache (65 MB for 2,000 pictures), by the pictures' hash.
        device: Where Inception runs.
        advance: Told how many more pictures it has seen.
    """

    def __init__(
        self,
        weights: InceptionFile,
        real: NDArray[np.uint8],
        device: torch.device,
        advance: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._weights, self._real, self._device, self._advance = weights, real, device, advance

    def __call__(self, made: NDArray[np.uint8], *, are_real: bool = False) -> dict[str, float]:
        """Measure pictures.

        Args:
            made: [n, 3, h, w].
            are_real: They are the collection's own, for the floor: their features are kept as well.

        Returns:
            "fid", "kid" and "kid_deviation" (over 100 subsets of at most 1,000 pictures).
        """
        with tempfile.TemporaryDirectory(prefix="metagan-") as folder:
            weights = self._weights.path
            if self._weights.is_packaged:
                weights = Path(folder) / "weights.pth"
                torch.save(read_packaged(self._weights.path), weights)
            measured = self._measured(made, weights, _name(made) if are_real else None)
        return {
            "fid": float(measured["frechet_inception_distance"]),
            "kid": float(measured["kernel_inception_distance_mean"]),
            "kid_deviation": float(measured["kernel_inception_distance_std"]),
        }

    def _measured(self, made: NDArray[np.uint8], weights: Path, name: str | None) -> dict[str, Any]:
        from torch_fidelity import calculate_metrics

        on_gpu = self._device.type == "cuda"
        measured: dict[str, Any] = calculate_metrics(
            input1=_Bytes(made, self._advance),
            input1_cache_name=name,
            input2=_Bytes(self._real, self._advance),
            input2_cache_name=_name(self._real),
            cache_root=str(cache_folder() / "inception"),
            cuda=on_gpu,
            batch_size=64 if on_gpu else 16,  # on two cores 16 are 1.4 times as fast as 64
            fid=True,
            kid=True,
            kid_subset_size=min(1000, len(made), len(self._real)),
            feature_extractor_weights_path=str(weights),
            save_cpu_ram=True,  # no processes of its own
            verbose=False,
        )
        return measured


def _name(pictures: NDArray[np.uint8]) -> str:
    """Of a cached file: other pictures, or another size of them, have another."""
    shape = "x".join(map(str, pictures.shape))
    return f"{shape}-{hashlib.sha256(pictures.tobytes()).hexdigest()}"
