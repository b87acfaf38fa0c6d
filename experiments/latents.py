"""Wider latents for a training run, and a stronger say for what was added, between two calls of `metagan train`.

    python experiments/latents.py RUN --width 256
    python experiments/latents.py RUN --strength 2 --added-to 64
    python experiments/latents.py RUN --spread 1.1

A generator's pictures can differ in no more ways than its latents have numbers. --width appends numbers to latents and
styles: what is made stays nearly the same at first, because no layer listens to the new ones. They are learnt slowly,
as they begin at nothing; --strength multiplies what each layer takes from them (from all styles but the first
--added-to). Pictures get worse for the next ten thousand pictures, and then richer. --spread moves all styles that much
further from their mean, so that what is rare gets less so.
`make weights` does all three, at the times that its stages name.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import zlib
from pathlib import Path

import torch
from torch import Tensor

from metagan.networks.stylegan2.network import Config
from metagan.training.run_folder import RunConfig, RunFolder, read_config, write_config
from metagan.training.state import read_state, write_state

CHANGED_AT = "latents_changed_at"  # pictures seen; training's own next state file is without it
GENERATORS = ("generator/", "average/")
SQUARES = "/exp_avg_sq"


def widened(tensors: dict[str, Tensor], config: Config, width: int) -> tuple[dict[str, Tensor], Config]:
    """A state's tensors and the generator's shape with latents, mapping layers and styles of this width.

    Weights are stored at unit variance (equalised learning rate), so the old ones grow by the root of the ratio of
    widths. New mapping weights are random, the layers' weights for new styles are zero. Adam's squared gradients of new
    weights are the mean of the old ones'.

    Args:
        tensors: As in a state file.
        config: Of an unconditional generator whose latents, mapping layers and styles have one width, w; or of what
            it becomes, where a crash came between the two files.
        width: Of the new ones, at least w.
    """
    old = tensors["generator/mapping.layers.0.weight"].shape[1]
    told = {config.mapping.z_dim, *config.mapping.widths}
    if told not in ({old}, {width}) or config.mapping.c_dim or width < old:
        text = f"latents of {old}, mapping layers of {config.mapping.widths}"
        raise SystemExit(f"{text}: want all of one width, of at most {width}, and no labels")
    gain, result = math.sqrt(width / old), dict(tensors)
    for name, tensor in tensors.items():
        is_mapping = "mapping." in name
        counts_steps = not tensor.ndim
        if counts_steps or not (is_mapping or ".affine.weight" in name):
            continue
        shape = (width if is_mapping else len(tensor), width)[: tensor.ndim]
        scale = gain if tensor.ndim == 2 else 1.0
        if name.endswith(SQUARES):
            scale **= -2
            wide = torch.full(shape, float(tensor.mean()) * scale)
        elif is_mapping and name.endswith(".weight"):
            wide = torch.randn(shape, generator=_source(name)) / config.mapping.lr_multiplier
            wide[:old] = 0
        else:
            wide = torch.zeros(shape)
        wide[: len(tensor), *[slice(old)] * (tensor.ndim - 1)] = tensor * scale
        result[name] = wide
    mapping = dataclasses.replace(config.mapping, z_dim=width, widths=(width,) * len(config.mapping.widths))
    return result, dataclasses.replace(config, mapping=mapping)


def _source(name: str) -> torch.Generator:
    """Chance that is the same for the generator's weight and its average's."""
    return torch.Generator().manual_seed(zlib.crc32(name.partition("/")[2].encode()))


def strengthened(tensors: dict[str, Tensor], factor: float, added_to: int) -> dict[str, Tensor]:
    """A state's tensors in which each layer takes `factor` times as much from all styles but the first `added_to`."""
    result = dict(tensors)
    for name, tensor in tensors.items():
        if name.startswith(GENERATORS) and name.endswith("affine.weight"):
            result[name] = torch.cat([tensor[:, :added_to], tensor[:, added_to:] * factor], dim=1)
    return result


def spread_out(tensors: dict[str, Tensor], factor: float) -> dict[str, Tensor]:
    """A state's tensors in which layers take a style w for what mean + factor (w - mean) was to them before."""
    result = dict(tensors)
    for name, tensor in tensors.items():
        if name.startswith(GENERATORS) and name.endswith("affine.weight"):
            bias, mean = name.removesuffix("weight") + "bias", name.partition("/")[0] + "/mapping.mean_style"
            of_mean = tensor @ tensors[mean] / math.sqrt(tensor.shape[1])
            result[name], result[bias] = tensor * factor, tensors[bias] + of_mean * (1 - factor)
    return result


def main() -> None:
    """Parse, change the state, and the configuration with it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--width", type=int)
    parser.add_argument("--strength", type=float)
    parser.add_argument("--added-to", type=int, default=64)
    parser.add_argument("--spread", type=float)
    options = parser.parse_args()
    folder = RunFolder(options.run)
    config: RunConfig = read_config(folder)
    tensors, facts = read_state(folder.state)
    if options.width:
        tensors, shape = widened(tensors, config.generator, options.width)
        config = dataclasses.replace(config, generator=shape)
    if options.strength:
        tensors = strengthened(tensors, options.strength, options.added_to)
    if options.spread:
        tensors = spread_out(tensors, options.spread)
    write_config(folder, dataclasses.asdict(config))
    write_state(folder.state, tensors, facts | {CHANGED_AT: facts["seen"]})


if __name__ == "__main__":
    main()
