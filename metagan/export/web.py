"""Write a generator for the browser's kernel, proved by computing pictures from what was written."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from metagan.errors import ExportError
from metagan.export.blob import Precision, compress, pack, unpack
from metagan.export.fold import fold
from metagan.export.replay import replay
from metagan.files import write_bytes
from metagan.networks.generator import Generator, Noise
from metagan.sampling.latents import labels, latents
from metagan.sampling.sampler import to_uint8

PROOF_SEEDS = (0, 1, 2, 3)
PROOF_PSI = 0.7
# The share of values that may be off, by one level of 255 and no more.
TOLERANCE: dict[Precision, float] = {"fp16": 0.05, "fp32": 0.001}


@dataclass(frozen=True)
class Likeness:
    """How near the written generator is to the original, over the proof's pictures.

    Args:
        off_by_one: The share of values that differ, 0 to 1.
        worst: The largest difference in levels of 255.
        psnr_db: Peak signal to noise ratio of the pictures before rounding, in dB; infinity when they are the same.
    """

    off_by_one: float
    worst: int
    psnr_db: float


@dataclass(frozen=True)
class WebWeights:
    """A weights file for the browser.

    Args:
        content: Before gzip; its SHA-256 is the file's name and what the browser verifies.
        compressed: As it is served.
        precision: The matrices' format.
        likeness: How near it is to the original.
    """

    content: bytes
    compressed: bytes
    precision: Precision
    likeness: Likeness

    @property
    def sha256(self) -> str:
        """Of the content, in hex."""
        return hashlib.sha256(self.content).hexdigest()


def make_web_weights(generator: Generator, precision: Precision = "fp16", noise: str = "const") -> WebWeights:
    """The generator as the browser's kernel takes it.

    Args:
        generator: On the CPU.
        precision: fp16 halves the download at about 72 dB, fp32 keeps every weight.
        noise: "const" or "none".

    Raises:
        ExportError: The kernel can't run it, or what was written gives other pictures than the generator.
    """
    config, tensors = fold(generator, noise)
    content = pack(config, tensors, precision)
    likeness = compare(generator, content, noise)
    if likeness.worst > 1 or likeness.off_by_one > TOLERANCE[precision]:
        found = f"{likeness.off_by_one:.2%} of the values differ, by up to {likeness.worst} levels"
        want = f"want at most {TOLERANCE[precision]:.1%}, by one level"
        fix = "export with --precision fp32" if precision == "fp16" else "it stays with prepared pictures"
        raise ExportError(
            f"{precision} weights don't give this generator's pictures: {found}; {want}\n  fix: {fix}"
        )
    return WebWeights(content, compress(content), precision, likeness)


def write_web_weights(path: Path, weights: WebWeights) -> None:
    """Write the compressed file, whole or not at all."""
    write_bytes(path, weights.compressed)


@torch.inference_mode()
def compare(generator: Generator, content: bytes, noise: str) -> Likeness:
    """The generator's pictures against those computed from the written content, at fixed seeds."""
    config, tensors = unpack(content)
    psi = PROOF_PSI if config.mean else 1.0
    differences: list[Tensor] = []
    squares: list[Tensor] = []
    for seed in PROOF_SEEDS:
        z = latents([seed], config.z_dim)
        label = labels(seed % config.c_dim if config.c_dim else None, config.c_dim, 1)
        want = generator.synthesize(generator.map_latents(z, label, psi=psi), Noise(noise))
        got = replay(config, tensors, z, label, psi)
        differences.append((_bytes(got) - _bytes(want)).abs())
        squares.append((got - want).square())
    levels, error = torch.stack(differences), float(torch.stack(squares).mean())
    psnr_db = 10 * math.log10(4 / error) if error else math.inf
    return Likeness(float((levels > 0).double().mean()), int(levels.max()), psnr_db)


def _bytes(images: Tensor) -> Tensor:
    return torch.from_numpy(to_uint8(images)[0]).int()
