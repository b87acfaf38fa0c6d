"""StyleGAN3's synthesis beside a plain transcription of the published algorithm, and on the kernel beside PyTorch.

Same weights, same styles, in turns.

The transcription convolves with each picture's own kernels in groups, inserts zeros to upsample, and filters them
channel by channel, as the paper's reference operations do.
"""

import math
from functools import partial

import torch
import torch.nn.functional as F

from benchmarks.turns import (
    PRECISIONS,
    Draw,
    as_the_sampler_does,
    compare,
    in_turns,
    levels,
    measure_in_passive_process,
)
from metagan.live.native import NoKernel
from metagan.networks.mapping import MappingConfig
from metagan.networks.stylegan3.fast import FastSynthesis, prepare
from metagan.networks.stylegan3.native import native_form
from metagan.networks.stylegan3.network import Config, Layer, StyleGAN3
from tests.networks.stylegan3.geometry import design

ROUNDS, BATCH = 2, 1
CONFIGS = {
    "T": (128, {}),
    "R": (64, {"kernel": 1, "radial": True, "channel_base": 65536, "channel_max": 1024}),
}


def measure() -> dict[str, object]:
    """Seconds a picture of both, and how many times faster metagan is, for configurations T and R."""
    return measure_in_passive_process("benchmarks.stylegan3", "measure_here")


@torch.inference_mode()
def measure_here() -> dict[str, object]:
    """The same, in this process."""
    results: dict[str, object] = {}
    for name, (resolution, options) in CONFIGS.items():
        network = make(design(MappingConfig(512, 0, 0, (512, 512)), resolution, **options))
        ws = network.map_latents(torch.randn(BATCH, 512))
        ways = {"plain": partial(transcription, network, ws)}
        for precision, dtype in PRECISIONS.items():
            ways[precision] = as_the_sampler_does(partial(prepare(network, dtype).synthesize, ws))
        results[name] = {"resolution": resolution, **compare(ways, in_turns(ways, ROUNDS), BATCH)}
    return results


def measure_native() -> dict[str, object]:
    """Processor time a picture on the kernel and in PyTorch, in float32 on one thread, and how far pictures differ."""
    return measure_in_passive_process("benchmarks.stylegan3", "measure_native_here")


@torch.inference_mode()
def measure_native_here() -> dict[str, object]:
    """The same, in this process."""
    torch.set_num_threads(1)
    results: dict[str, object] = {}
    for name, (resolution, options) in CONFIGS.items():
        network = make(design(MappingConfig(512, 0, 0, (512, 512)), resolution, **options))
        ws = network.map_latents(torch.randn(BATCH, 512))
        form = native_form(network)
        if isinstance(form, NoKernel):
            raise SystemExit(f"the kernel does not draw this: {form.reason}")
        ways: dict[str, Draw] = {
            "kernel": partial(form.synthesize, ws),
            "pytorch": as_the_sampler_does(partial(FastSynthesis(network).synthesize, ws)),
        }
        taken = in_turns(ways, ROUNDS)
        mine, theirs = (draw() for draw in ways.values())
        scale = 1 / (
            2 * float(theirs.std())
        )  # random weights may draw anything; so many values are within range
        difference = (levels(mine * scale).byte().int() - levels(theirs * scale).byte().int()).abs()
        results[name] = {
            "resolution": resolution,
            "library": form.kernel.name,
            **{f"{way}_ms": round(1e3 * each.wall / BATCH, 1) for way, each in taken.items()},
            **{f"{way}_cpu_ms": round(1e3 * each.processor / BATCH, 1) for way, each in taken.items()},
            "cpu_ratio": round(taken["pytorch"].processor / taken["kernel"].processor, 2),
            "most_levels": int(difference.max()),
            "share_differing": round(float((difference > 0).float().mean()), 6),
        }
    return results


def make(config: Config) -> StyleGAN3:
    """A generator of random weights, with low-pass filters of about the right kind."""
    torch.manual_seed(0)
    network = StyleGAN3(config).eval().requires_grad_(requires_grad=False)
    for layer in network.layers:
        for taps in (layer.up_taps, layer.down_taps):
            if taps is not None:
                at = (torch.arange(len(taps)) - (len(taps) - 1) / 2) / len(taps) * 6
                radius = at if taps.ndim == 1 else torch.hypot(at[:, None], at[None])
                taps.copy_(torch.sinc(radius / 2) * torch.cos(radius / 6 * 1.1).clamp(min=0))
                taps.div_(taps.sum())
    return network


def transcription(network: StyleGAN3, ws: torch.Tensor) -> torch.Tensor:
    """The same pictures, step by step as the paper has them."""
    x = network.input(ws[:, 0])
    for index, layer in enumerate(network.layers):
        x = plain_layer(layer, x, ws[:, index + 1])
    return x * network.config.output_scale


def plain_layer(layer: Layer, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Modulate kernels, convolve in groups, then the filtered non-linearity."""
    n, s, weight, config = len(x), layer.affine(w), layer.weight, layer.config
    if layer.to_rgb:
        s = s / math.sqrt(weight[0].numel())
    else:
        weight = weight * weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
        s = s * s.square().mean().rsqrt()
    kernels = weight[None] * s[:, None, :, None, None]
    if not layer.to_rgb:
        kernels = kernels * (kernels.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    kernels = (kernels * layer.magnitude.rsqrt()).flatten(0, 1)
    x = F.conv2d(x.reshape(1, -1, *x.shape[2:]), kernels, padding=config.kernel_size - 1, groups=n)
    x = x.view(n, -1, *x.shape[2:]) + layer.bias[:, None, None]
    wide = x.new_zeros(*x.shape[:2], x.shape[2] * config.up, x.shape[3] * config.up)
    wide[:, :, :: config.up, :: config.up] = x
    x = convolve(F.pad(wide, config.pads), layer.up_taps) * config.up**2
    if not layer.to_rgb:
        x = F.leaky_relu(x, 0.2) * math.sqrt(2)
    x = x.clamp(-config.clamp, config.clamp)
    return convolve(x, layer.down_taps)[:, :, :: config.down, :: config.down]


def convolve(x: torch.Tensor, taps: torch.Tensor | None) -> torch.Tensor:
    """Filter channel by channel."""
    if taps is None:
        return x
    c, taps = x.shape[1], taps.flip(tuple(range(taps.ndim)))
    if taps.ndim == 2:
        return F.conv2d(x, taps.expand(c, 1, -1, -1), groups=c)
    x = F.conv2d(x, taps[:, None].expand(c, 1, -1, -1), groups=c)
    return F.conv2d(x, taps[None].expand(c, 1, -1, -1), groups=c)
