"""Sampling StyleGAN2: metagan's float32 and its fastest precision beside a plain transcription of the paper.

Same weights and styles, in turns in one process; the fastest turn of each counts, because other programs slow all of
them down. The share of the peak is what the layers' convolutions would take at the rate of the fastest large one of
the same precision, by the time that the whole synthesis takes. On a busy machine even the fastest turn has waited for
processors; the ratios of processor time ("cpu") tell what it took without the waiting.
"""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import plain
from metagan.networks.stylegan2.fast import prepare
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from metagan.sampling.graphs import RecordedSynthesis
from metagan.sampling.latents import latents
from metagan.sampling.memory import keep_freed_memory
from metagan.sampling.sampler import exact_convolutions

TURNS = 5
# Resolution, channel base, and pictures at once: the official configurations' for these sizes.
CASES = ((256, 16384, 4), (256, 16384, 8), (1024, 32768, 1))
CUDA_CASES = ((256, 16384, 8), (256, 16384, 64), (1024, 32768, 4))
PEAK_SHAPES = (
    (64, 256),
    (128, 128),
    (256, 64),
    (512, 32),
)  # channels and size of large convolutions of 4 pictures
PEAK_FLOPS = 2 * 4 * 9 * 64**2 * 256**2
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
Draw = Callable[[], Tensor]


class Taken(NamedTuple):
    """Seconds by the clock, and of processor time by all threads together."""

    wall: float
    processor: float


def make_network(resolution: int, base: int) -> StyleGAN2:
    """A StyleGAN2 of random weights as wide as that channel base makes it, with noise and pictures in range."""
    torch.manual_seed(0)
    channels = tuple(min(base // (4 * 2**index), 512) for index in range(resolution.bit_length() - 2))
    network = StyleGAN2(Config(MappingConfig(512, 0, 0, (512,) * 8), channels, clamp=256.0)).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("noise_strength"):
            tensor.fill_(0.1)
        elif "to_rgb.weight" in name:
            tensor.mul_(0.3)
    return network


def measure() -> dict[str, object]:
    """Milliseconds a picture on the CPU, ratios and errors, by resolution and batch.

    In a process whose threads sleep while they wait for each other: else, on a busy machine, they take processor time.
    """
    command = [sys.executable, "-c", "from benchmarks.sample import measure_here as m; m()"]
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    results: dict[str, object] = json.loads(printed)
    return results


def measure_here() -> None:
    """Measure in this process, and print it."""
    with torch.inference_mode():
        print(json.dumps({f"{case[0]}x{case[2]}": _measure_case(*case) for case in CASES}))


def measure_cuda() -> dict[str, object]:
    """The same on a GPU, with and without recorded graphs."""
    results: dict[str, object] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    with torch.inference_mode(), exact_convolutions():
        for case in CUDA_CASES:
            results[f"{case[0]}x{case[2]}"] = _measure_cuda_case(*case)
    return results


def _measure_case(resolution: int, base: int, batch: int) -> dict[str, object]:
    network = make_network(resolution, base)
    ws = network.map_latents(latents(range(batch), network.z_dim), psi=0.7)
    ways: dict[str, Draw] = {"plain": partial(plain.synthesize, network, ws)}
    for name, dtype in PRECISIONS.items():
        ways[name] = _as_the_sampler_does(partial(prepare(network, dtype).synthesize, ws))
    peaks = {f"{name}_peak": _large_convolution(dtype) for name, dtype in PRECISIONS.items()}
    taken = _in_turns(ways | peaks, TURNS)
    result = _compare(ways, taken, batch)
    flops = batch * count_flops(network)
    for name in PRECISIONS:
        at_peak = [flops / PEAK_FLOPS * second for second in taken[f"{name}_peak"]]
        result[f"{name}_peak_gflops"] = round(flops / at_peak[0] / 1e9)
        result[f"{name}_share_of_peak"] = round(at_peak[0] / taken[name].wall, 2)
        result[f"{name}_cpu_share_of_peak"] = round(at_peak[1] / taken[name].processor, 2)
    return dict(sorted(result.items()))


def _as_the_sampler_does(draw: Draw) -> Draw:
    def draw_and_keep() -> Tensor:
        with keep_freed_memory():
            return draw()

    return draw_and_keep


def _measure_cuda_case(resolution: int, base: int, batch: int) -> dict[str, object]:
    network = make_network(resolution, base).to("cuda")
    ws = network.map_latents(latents(range(batch), network.z_dim).to("cuda"), psi=0.7)
    ways: dict[str, Draw] = {"plain": partial(plain.synthesize, network, ws)}
    for name, dtype in PRECISIONS.items():
        prepared = prepare(network, dtype)
        ways[f"{name}_unrecorded"] = partial(prepared.synthesize, ws)
        ways[name] = partial(RecordedSynthesis(prepared).synthesize, ws)
    torch.cuda.reset_peak_memory_stats()
    result = _compare(ways, _in_turns(ways, TURNS), batch)
    result["peak_memory_mb"] = torch.cuda.max_memory_allocated() // 2**20
    return dict(sorted(result.items()))


def _compare(ways: dict[str, Draw], taken: dict[str, Taken], batch: int) -> dict[str, object]:
    """Milliseconds a picture, how many times the plain transcription's speed, and how far from its pictures."""
    wanted = _levels(ways["plain"]())
    result: dict[str, object] = {"plain_ms": round(1e3 * taken["plain"].wall / batch, 2)}
    for name in ways.keys() - {"plain"}:
        error = _levels(ways[name]()) - wanted
        result[f"{name}_ms"] = round(1e3 * taken[name].wall / batch, 2)
        result[f"{name}_ratio"] = round(taken["plain"].wall / taken[name].wall, 2)
        result[f"{name}_cpu_ratio"] = round(taken["plain"].processor / taken[name].processor, 2)
        result[f"{name}_psnr_db"] = round(
            10 * math.log10(255**2 / max(float(error.square().mean()), 1e-12)), 1
        )
    return result


def _levels(images: Tensor) -> Tensor:
    return (images * 127.5 + 128).clamp(0, 255)


def _in_turns(ways: dict[str, Draw], turns: int) -> dict[str, Taken]:
    """Seconds that each takes at its fastest; one turn more is not counted."""
    taken = {name: Taken(math.inf, math.inf) for name in ways}
    for turn in range(turns + 1):
        for name, draw in ways.items():
            begin, busy = time.perf_counter(), time.process_time()
            draw()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                now = Taken(time.perf_counter() - begin, time.process_time() - busy)
                taken[name] = Taken(*map(min, taken[name], now))
    return taken


def _large_convolution(dtype: torch.dtype) -> Draw:
    """The fastest of some large convolutions, PEAK_FLOPS each."""
    draws = {}
    for channels, size in PEAK_SHAPES:
        x, kernel = torch.randn(4, channels, size, size), torch.randn(channels, channels, 3, 3)
        laid_out = [each.to(dtype).contiguous(memory_format=torch.channels_last) for each in (x, kernel)]
        draws[str(channels)] = partial(F.conv2d, *laid_out, padding=1)
    taken = _in_turns(draws, 2)
    return draws[min(taken, key=lambda name: taken[name].processor)]


def count_flops(network: StyleGAN2) -> int:
    """Multiplications and additions of the convolutions of a picture; of transposed ones, without inserted zeros."""
    flops = 0
    for index, block in enumerate(network.blocks):
        pixels = (4 * 2**index) ** 2
        flops += 2 * block.conv1.weight.numel() * pixels
        if block.conv0 is not None:
            flops += 2 * block.conv0.weight.numel() * pixels // 4
    return flops
