"""A small generator of each architecture, from the golden files, and pictures to look for in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from metagan.checkpoints.read import read_checkpoint
from metagan.lab.targets import Target
from metagan.networks.generator import Generator
from metagan.networks.loading.detect import load_generator
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from metagan.sampling.latents import latents, one_hot
from metagan.sampling.levels import to_uint8

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = {
    "stylegan2": "ros_train16.pt",
    "stylegan3": "sg3t_cond16.pkl",
    "lucidrains": "luc_16_attn_noconst",
    "r3gan": "r3_cond32.pkl",
    "dcgan": "keras_dcgan32.zip",
}
CPU = torch.device("cpu")


def load(family: str) -> Generator:
    path = GOLDEN / FILES[family]
    return load_generator(read_checkpoint(next(path.rglob("*.pt")) if path.is_dir() else path))


def small(seed: int = 3, resolution: int = 16, c_dim: int = 0, w_dim: int = 8) -> StyleGAN2:
    """A random StyleGAN2 whose noise shows."""
    torch.manual_seed(seed)
    mapping = MappingConfig(z_dim=8, c_dim=c_dim, embed_dim=4 if c_dim else 0, widths=(8, w_dim))
    network = StyleGAN2(Config(mapping, channels=(8,) * (resolution.bit_length() - 2))).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("noise_strength"):
            parameter.data.fill_(0.1)
    network.mapping.mean_style.copy_(torch.randn(w_dim) * 0.1)
    return network


def picture(generator: Generator, seed: int, psi: float = 1.0) -> np.ndarray:
    z = latents([seed], generator.z_dim)
    with torch.inference_mode():
        label = one_hot(0, generator.c_dim, 1)
        return to_uint8(generator.synthesize(generator.map_latents(z, label, psi=psi)))[0]


def target(generator: Generator, seed: int, psi: float = 1.0) -> Target:
    pixels = torch.from_numpy(picture(generator, seed, psi).transpose(2, 0, 1).copy()).float() / 127.5 - 1
    return Target(f"own{seed}", pixels, torch.ones(1, *pixels.shape[1:]))
