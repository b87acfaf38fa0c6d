"""Exports a generator for the browser's kernel, and checks it by computing pictures from the result."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from metagan.errors import ExportError
from metagan.export.blob import WebPrecision, compress, pack, unpack
from metagan.export.fold import fold, fold_upscaler
from metagan.export.likeness import PROOF_PSI, PROOF_SEEDS, Likeness, measure
from metagan.export.replay import replay, replay_upscaler
from metagan.files import write_bytes
from metagan.networks.generator import Generator, Noise
from metagan.networks.upscaler import Upscaler
from metagan.sampling.latents import latents, one_hot
from metagan.values import counted

# The fraction of values that may differ, by at most one level of 255.
TOLERANCE: dict[WebPrecision, float] = {"fp16": 0.05, "fp32": 0.001}
KERNEL_TILE_PX = 4  # of the convolutions of upscalers
FLOOR_DB = 40.0  # the PSNR that int8 must reach instead: a root mean square error of 2.6 levels of 255


@dataclass(frozen=True)
class WebWeights:
    """A weights file for the browser.

    Args:
        content: The bytes before gzip. Their SHA-256 is the file's name, and the browser verifies it.
        compressed: The gzipped bytes, which the site serves.
        precision: The number format of large tensors.
        likeness: The difference of its pictures from the original's.
    """

    content: bytes
    compressed: bytes
    precision: WebPrecision
    likeness: Likeness

    @property
    def sha256(self) -> str:
        """SHA-256 of the content, in hex."""
        return hashlib.sha256(self.content).hexdigest()


def make_web_weights(
    generator: Generator,
    precision: WebPrecision = "fp16",
    noise: str = "const",
    upscaler: Upscaler | None = None,
) -> WebWeights:
    """Convert a generator for the browser's kernel.

    Args:
        generator: A generator on the CPU.
        precision: fp32 keeps every weight; fp16 halves the download, at about 72 dB; int8 halves convolution weights
            once more, at about 45 dB.
        noise: "const" or "none".
        upscaler: What enlarges the pictures, on the CPU; its weights come with the generator's.

    Raises:
        ExportError: If the kernel does not support it, or the result draws other pictures than the generator.
    """
    config, tensors = fold(generator, noise)
    if upscaler is not None:
        if generator.image_channels != 3:
            channels = counted(generator.image_channels, "channel")
            what = f"upscalers enlarge RGB pictures, the generator's have {channels}"
            raise ExportError(what, fix="export it without an upscaler")
        if any(side % KERNEL_TILE_PX for side in generator.size):
            what = f"the kernel enlarges pictures whose sides are multiples of {KERNEL_TILE_PX}, not {generator.size}"
            raise ExportError(what, fix="export it without an upscaler")
        config = dataclasses.replace(config, upscaler=upscaler.config)
        tensors |= fold_upscaler(upscaler)
    likeness = compare(generator, pack(config, tensors, precision), noise, upscaler)
    _require_likeness(likeness, precision)
    content = pack(config, tensors, precision, likeness.finite_psnr_db)
    return WebWeights(content, compress(content), precision, likeness)


def _require_likeness(likeness: Likeness, precision: WebPrecision) -> None:
    if precision == "int8":
        good = likeness.psnr_db >= FLOOR_DB
        found, want = f"{likeness.psnr_db:.1f} dB from them", f"want at least {FLOOR_DB:.0f} dB"
    else:
        good = likeness.worst <= 1 and likeness.off_by_one <= TOLERANCE[precision]
        found = f"{likeness.off_by_one:.2%} of the values differ, by up to {counted(likeness.worst, 'level')}"
        want = f"want at most {TOLERANCE[precision]:.1%}, by one level"
    if good:
        return
    finer = {"int8": "export with --precision fp16", "fp16": "export with --precision fp32"}
    fix = finer.get(precision, "show prepared pictures instead")
    raise ExportError(f"{precision} weights don't draw this generator's pictures: {found}; {want}", fix=fix)


def write_web_weights(path: Path, weights: WebWeights) -> None:
    """Write the compressed file atomically."""
    write_bytes(path, weights.compressed)


@torch.inference_mode()
def compare(generator: Generator, content: bytes, noise: str, upscaler: Upscaler | None = None) -> Likeness:
    """Compare the generator's pictures with those computed from the exported content, at fixed seeds."""
    config, tensors = unpack(content)
    psi = PROOF_PSI if config.mean else 1.0

    def drawn(seed: int) -> tuple[Tensor, Tensor]:
        z = latents([seed], config.z_dim)
        label = one_hot(seed % max(config.c_dim, 1), config.c_dim, 1)
        want = generator.synthesize(generator.map_latents(z, label, psi=psi), Noise(noise))
        got = replay(config, tensors, z, label, psi)
        if upscaler is not None and config.upscaler is not None:
            want = upscaler(want.clamp(-1, 1))
            got = replay_upscaler(config.upscaler, tensors, got)
        return got, want

    return measure(map(drawn, PROOF_SEEDS))
