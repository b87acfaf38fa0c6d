"""Small random VQGANs, written as the published program's training writes them."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import yaml
from torch import Tensor

from metagan.networks.vqgan import VQGAN, VQGANConfig

TINY = VQGANConfig(
    widths=(32, 64, 32),
    channels=32,
    blocks=2,
    attention=(1, 2),
    z_channels=5,
    code_dim=5,
    codes=19,
    gumbel=True,
)
PUBLISHED = (
    ("from_code.", "post_quant_conv."), ("to_code.", "quant_conv."), ("logits.", "quantize.proj."),
    (".first.", ".conv_in."), (".last.", ".conv_out."), (".middle.0.", ".mid.block_1."),
    (".middle.1.", ".mid.attn_1."), (".middle.2.", ".mid.block_2."), (".blocks.", ".block."),
    (".attentions.", ".attn."), (".norm_a.", ".norm1."), (".conv_a.", ".conv1."), (".norm_b.", ".norm2."),
    (".conv_b.", ".conv2."), (".shortcut.", ".nin_shortcut."), (".query.", ".q."), (".key.", ".k."),
    (".value.", ".v."), (".out.", ".proj_out."),
)  # fmt: skip


def random_vqgan(config: VQGANConfig, seed: int = 1) -> VQGAN:
    """A VQGAN whose every number is random; a few weights of each layer, so that pictures stay near their range."""
    rng = torch.Generator().manual_seed(seed)
    network = VQGAN(config).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        drawn = torch.randn(parameter.shape, generator=rng)
        if "norm" in name and name.endswith("weight"):
            parameter.copy_(1 + 0.1 * drawn)
        else:
            parameter.copy_(
                drawn / max(1, parameter[0].numel()) ** 0.5 if parameter.ndim > 1 else 0.1 * drawn
            )
    network.codebook.mul_(2)
    return network


def published_names(network: VQGAN) -> dict[str, Tensor]:
    """Its tensors as the published program names them."""
    named = {}
    for name, tensor in network.state_dict().items():
        side = "down" if name.startswith("encoder") else "up"
        new = name.replace(".levels.", f".{side}.").replace(".resample.convolution.", f".{side}sample.conv.")
        new = new.replace("coder.norm.", "coder.norm_out.")
        for own, published in PUBLISHED:
            new = new.replace(own, published)
        if new == "codebook":
            new = "quantize.embed.weight" if network.config.gumbel else "quantize.embedding.weight"
        named[new] = tensor
    return named


def write_lightning(
    path: Path, tensors: Mapping[str, Tensor], callback: tuple[str, str] | None = None
) -> Path:
    """Write a Lightning checkpoint, with the state of a callback under its class."""
    module_name, class_name = callback or ("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
    kept = type(class_name, (), {"__module__": module_name})
    parts = module_name.split(".")
    modules = {".".join(parts[: end + 1]): types.ModuleType(parts[end]) for end in range(len(parts))}
    setattr(modules[module_name], class_name, kept)
    content: dict[str, Any] = {
        "epoch": 3,
        "pytorch-lightning_version": "1.0.8",
        "callbacks": {kept: {"best_model_score": torch.tensor(0.5), "best_model_path": "best.ckpt"}},
        "optimizer_states": [{"state": {0: {"step": 7, "exp_avg": torch.zeros(3)}}, "param_groups": []}],
        "state_dict": dict(tensors),
    }
    with mock.patch.dict(sys.modules, modules):
        torch.save(content, path)
    return path


def write_yaml(path: Path, config: VQGANConfig, resolution: int = 32, **changes: Any) -> Path:
    """Write the YAML of a VQGAN."""
    layers = {
        "double_z": False,
        "z_channels": config.z_channels,
        "resolution": resolution,
        "in_channels": 3,
        "out_ch": 3,
        "ch": config.channels,
        "ch_mult": [width // config.channels for width in config.widths],
        "num_res_blocks": config.blocks,
        "attn_resolutions": [resolution >> level for level in config.attention],
        "dropout": 0.0,
        "resamp_with_conv": config.convolve,
    }
    params = {"embed_dim": config.code_dim, "n_embed": config.codes, "ddconfig": layers | changes}
    target = "taming.models.vqgan." + ("GumbelVQ" if config.gumbel else "VQModel")
    path.write_text(yaml.safe_dump({"model": {"target": target, "params": params}}))
    return path
