"""A StyleGAN2 generator back in the official layout: what the official code's `load_state_dict` takes.

The official classes carry filters that they never use; metagan drops them on reading. Here they come back: in blocks
the network's own filter, which they are made with, and in layers that don't resample the usual one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from metagan.networks.architecture import Official
from metagan.networks.ops import make_taps, usual_taps
from metagan.networks.stylegan2.convert import generator_names
from metagan.networks.stylegan2.network import Config, StyleGAN2

USUAL = {
    "architecture": "skip",
    "activation": "lrelu",
    "kernel_size": 3,
    "use_noise": True,
    "conv_clamp": None,
}


def to_official(network: nn.Module) -> Official:
    """The official state dict of a StyleGAN2 generator, and the arguments of the class that takes it.

    Args:
        network: A StyleGAN2.
    """
    if not isinstance(network, StyleGAN2):
        raise TypeError(f"want a StyleGAN2, got {type(network).__name__}")
    tensors, config = network.state_dict(), network.config
    usual = usual_taps((4, 4))
    own = tensors.get("blocks.1.conv0.taps", usual)
    state = {}
    for foreign, ours in generator_names(config).items():
        unused = usual if foreign.endswith(".conv1.resample_filter") else own
        state[foreign] = _copied(unused if ours is None else tensors[ours])
    return Official(state, _arguments(config, own))


def _copied(tensor: Tensor) -> Tensor:
    """A copy that shares memory with nothing: a saved view would bring all of its storage along."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _arguments(config: Config, taps: Tensor) -> dict[str, Any]:
    mapping = config.mapping
    return {
        "z_dim": mapping.z_dim,
        "c_dim": mapping.c_dim,
        "w_dim": mapping.w_dim,
        "img_resolution": config.resolution,
        "img_channels": config.image_channels,
        "mapping_kwargs": _mapping_arguments(config),
        "synthesis_kwargs": _synthesis_arguments(config, taps),
    }


def _mapping_arguments(config: Config) -> dict[str, Any]:
    mapping = config.mapping
    said: dict[str, Any] = {"num_layers": len(mapping.widths)}
    if mapping.c_dim and mapping.embed_dim != mapping.w_dim:
        said["embed_features"] = mapping.embed_dim
    if set(mapping.widths[:-1]) - {mapping.w_dim}:
        said["layer_features"] = mapping.widths[0]
    if mapping.activation != "lrelu":
        said["activation"] = mapping.activation
    if mapping.lr_multiplier != 0.01:
        said["lr_multiplier"] = mapping.lr_multiplier
    if not mapping.has_mean_style:
        said["w_avg_beta"] = None
    return said


def _synthesis_arguments(config: Config, taps: Tensor) -> dict[str, Any]:
    said: dict[str, Any] = dict(_channel_arguments(config.channels))
    values = {
        "architecture": config.kind, "activation": config.activation, "kernel_size": config.kernel_size,
        "use_noise": config.use_noise, "conv_clamp": config.clamp,
    }  # fmt: skip
    said |= {name: value for name, value in values.items() if value != USUAL[name]}
    if not torch.equal(taps, make_taps((1, 3, 3, 1))):
        said["resample_filter"] = [1] * len(
            taps
        )  # any filter of that length: the state dict brings its values
    return said


def _channel_arguments(channels: tuple[int, ...]) -> Mapping[str, int]:
    """channel_base and channel_max: channels at resolution r are min(base // r, max). Empty when none give these."""
    most = max(channels)
    resolutions = [4 * 2**index for index in range(len(channels))]
    base = max(count * size_px for count, size_px in zip(channels, resolutions, strict=True))
    given = tuple(min(base // size_px, most) for size_px in resolutions)
    return {"channel_base": base, "channel_max": most} if given == channels else {}
