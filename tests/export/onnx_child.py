"""`python -m tests.export.onnx_child FOLDER`: writes ONNX models of several generators, and pictures that torch draws.

In a process of its own, because who traces a network can't trace the checks of its annotations that pytest adds.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import OptionError
from metagan.export.onnx import make_onnx_models, write_onnx_models
from metagan.networks.detect import load_generator
from metagan.networks.generator import Generator
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from metagan.sampling.latents import latents

GOLDEN = Path(__file__).parents[1] / "golden"
PSIS = (0.0, 0.5, 1.0)
BATCHES = {1: [10], 5: [11, 12, 13, 14, 15]}
PLAIN = Config(MappingConfig(z_dim=6, c_dim=0, embed_dim=0, widths=(7, 8)), channels=(6, 5))
CONFIGS = {
    "plain": PLAIN,
    "classes": dataclasses.replace(
        PLAIN, mapping=MappingConfig(z_dim=6, c_dim=3, embed_dim=5, widths=(9,)), clamp=0.9
    ),
    "no mean": dataclasses.replace(
        PLAIN, mapping=dataclasses.replace(PLAIN.mapping, has_mean_style=False), image_channels=1
    ),
}
FILES = {"dcgan": "keras_dcgan32.zip"}
SLOW_FILES = {"stylegan3": "sg3t_cond16.pkl", "rosinality": "ros_train16.pt"}


def make(name: str) -> Generator:
    """Random weights, or those of a golden file."""
    if name not in CONFIGS:
        return load_generator(read_checkpoint(GOLDEN / (FILES | SLOW_FILES)[name]))
    torch.manual_seed(0)
    network = StyleGAN2(CONFIGS[name]).eval().requires_grad_(requires_grad=False)
    for key, tensor in network.state_dict().items():
        if key.endswith(("noise_strength", "mean_style")):
            tensor.copy_(torch.rand_like(tensor))
    return network


def wishes(generator: Generator, seeds: list[int]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Latents and labels."""
    label = torch.eye(generator.c_dim)[[1] * len(seeds)] if generator.c_dim else None
    return latents(seeds, generator.z_dim), label


@torch.inference_mode()
def draw(generator: Generator) -> dict[str, np.ndarray]:
    """Pictures by psi and batch, "0.5 1"; psi 1 alone where there is no other."""
    pictures = {}
    for psi in PSIS:
        for batch, seeds in BATCHES.items():
            z, label = wishes(generator, seeds)
            try:
                ws = generator.map_latents(z, label, psi=psi)
            except OptionError:
                continue
            pictures[f"{psi} {batch}"] = generator.synthesize(ws).numpy()
    return pictures


def main(folder: Path, names: list[str]) -> None:
    """Models and pictures of each."""
    for name in names:
        generator = make(name)
        models = make_onnx_models(generator, licence="CC0-1.0", source="https://example.org/a.pkl")
        write_onnx_models(models, folder / name)
        np.savez(folder / f"{name}.npz", **draw(generator))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
