"""`python -m tests.export.onnx_child FOLDER NAME...`: writes ONNX models of generators; "command" does so by command.

In a process of its own, because who traces a network can't trace the checks of its annotations that pytest adds.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import torch
from click.testing import CliRunner

from metagan.checkpoints.read import read_checkpoint
from metagan.cli import metagan
from metagan.export.onnx import make_onnx_models, write_onnx_models
from metagan.networks.generator import Generator
from metagan.networks.loading.detect import load_generator
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2

GOLDEN = Path(__file__).parents[1] / "golden"
PLAIN = Config(MappingConfig(z_dim=6, c_dim=0, embed_dim=0, widths=(7, 8)), channels=(6, 5))
CONFIGS = {
    "classes": dataclasses.replace(
        PLAIN, mapping=MappingConfig(z_dim=6, c_dim=3, embed_dim=5, widths=(9,)), clamp=0.9
    ),
    "no mean": dataclasses.replace(
        PLAIN, mapping=dataclasses.replace(PLAIN.mapping, has_mean_style=False), image_channels=1
    ),
}
COMMAND = "command"
FILES = {"dcgan": "keras_dcgan32.zip", "stylegan3": "sg3t_cond16.pkl", "rosinality": "ros_train16.pt"}


def make(name: str) -> Generator:
    """Random weights, or those of a golden file."""
    if name not in CONFIGS:
        return load_generator(read_checkpoint(GOLDEN / FILES[name]))
    torch.manual_seed(0)
    network = StyleGAN2(CONFIGS[name]).eval().requires_grad_(requires_grad=False)
    for key, tensor in network.state_dict().items():
        if key.endswith(("noise_strength", "mean_style")):
            tensor.copy_(torch.rand_like(tensor))
    return network


def main(folder: Path, names: list[str]) -> None:
    """Models of each."""
    for name in names:
        if name == COMMAND:
            os.chdir(folder)
            words = ["export", str(GOLDEN / FILES["dcgan"]), "--to", "onnx", "--json"]
            done = CliRunner().invoke(metagan, words, catch_exceptions=False)
            (folder / f"{COMMAND}.json").write_text(done.stdout)
            continue
        models = make_onnx_models(make(name), licence="CC0-1.0", source="https://example.org/a.pkl")
        write_onnx_models(models, folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
