"""FID and KID by torch-fidelity. They need Inception's weights and the extra `metagan[evaluate]`.

References:
    [1] Heusel et al. 2017, GANs Trained by a Two Time-Scale Update Rule, arXiv:1706.08500 (FID).
    [2] Bińkowski et al. 2018, Demystifying MMD GANs, arXiv:1801.01401 (KID).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from metagan.errors import OptionError
from metagan.evaluation.inception_weights import FEATURES, InceptionFile, find_inception, read_inception
from metagan.fetch.cache import cache_folder
from metagan.files import replacing
from metagan.sampling.sampler import exact_convolutions

SUBSET = 1000  # pictures in each of KID's subsets, as published
BATCH = 16


def require_inception(asked: Path) -> InceptionFile:
    """Check that FID and KID can be measured: the extra is installed, and the weights are known.

    Args:
        asked: See `find_inception`.

    Raises:
        OptionError: If the extra is not installed, there are no weights, or the file is an unknown one.
    """
    try:
        import torch_fidelity  # noqa: F401
    except ImportError as error:
        raise OptionError(
            "--inception: torch-fidelity is not installed", fix="run `pip install 'metagan[evaluate]'`"
        ) from error
    return find_inception(asked)


def load_inception(weights: InceptionFile) -> nn.Module:
    """Load torch-fidelity's network, from pictures, uint8 [n, 3, h, w], to a tuple of features, float32 [n, 2048]."""
    from torch_fidelity import FeatureExtractorInceptionV3

    file = io.BytesIO()  # it unpickles what it is given: numbers only
    torch.save(read_inception(weights), file)
    file.seek(0)
    network: nn.Module = FeatureExtractorInceptionV3(
        "inception-v3-compat", [str(FEATURES)], feature_extractor_weights_path=file
    )
    return network


class Inception:
    """Measures FID [1] and KID [2] of generated pictures against a fixed set of real ones.

    Args:
        weights: Weights from `require_inception`.
        real: Real pictures, [m, 3, h, w]. Published figures use 50,000 generated and all real pictures; fewer give
            a higher FID. Their features are cached (8 KB each) under the pictures' hash.
        device: The device for Inception; the CPU is used unless it is CUDA.
        advance: Called with the number of further pictures processed.
    """

    def __init__(
        self,
        weights: InceptionFile,
        real: NDArray[np.uint8],
        device: torch.device,
        advance: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._device = device if device.type == "cuda" else torch.device("cpu")
        self._network = load_inception(weights).to(self._device)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        self._advance = advance
        self._real = self._remembered(real)

    def __call__(self, made: NDArray[np.uint8], *, are_real: bool = False) -> dict[str, float]:
        """Measure pictures.

        Args:
            made: [n, 3, h, w].
            are_real: Whether they are real pictures, for the floor. Their features are cached as well.

        Returns:
            "fid", "kid" and "kid_deviation" over 100 subsets of 1,000 pictures; 0 if there are not more than that.
        """
        from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
        from torch_fidelity.metric_kid import kid_features_to_metric

        features = self._remembered(made) if are_real else self._features(made)
        fid = fid_statistics_to_metric(
            *map(fid_features_to_statistics, (features, self._real)), verbose=False
        )
        subset = min(SUBSET, len(features), len(self._real))
        kid = kid_features_to_metric(features, self._real, kid_subset_size=subset, verbose=False)
        return {
            "fid": float(fid["frechet_inception_distance"]),
            "kid": float(kid["kernel_inception_distance_mean"]),
            "kid_deviation": float(kid["kernel_inception_distance_std"]),
        }

    def _features(self, pictures: NDArray[np.uint8]) -> Tensor:
        rows = []
        with torch.inference_mode(), exact_convolutions():
            for start in range(0, len(pictures), BATCH):
                batch = torch.from_numpy(pictures[start : start + BATCH])
                rows.append(self._network(batch.to(self._device))[0].cpu())
                self._advance(len(batch))
        return torch.cat(rows)

    def _remembered(self, pictures: NDArray[np.uint8]) -> Tensor:
        """Read features from the cache, or compute and cache them. Unreadable cache files are replaced."""
        shape = "x".join(map(str, pictures.shape))
        name = f"{shape}-{hashlib.sha256(pictures.tobytes()).hexdigest()}.safetensors"
        path = cache_folder() / "inception" / name
        with suppress(OSError, SafetensorError, KeyError):
            features = load_file(path)["features"]
            self._advance(len(features))
            return features
        features = self._features(pictures)
        with (
            suppress(OSError, SafetensorError),
            replacing(path) as beside,
        ):  # a full disk only means that nothing is cached
            save_file({"features": features}, beside)
        return features
