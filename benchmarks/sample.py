"""Sampling StyleGAN2: metagan's float32 and its fastest precision beside a plain transcription of the paper.

Same weights and styles, in turns in one process; the fastest turn of each counts, because other programs slow all of
them down. The share of the peak is what the layers' convolutions would take at the rate of the fastest large one of
the same precision, by the time that the whole synthesis takes.
"""

from functools import partial

import torch
import torch.nn.functional as F

from benchmarks import plain
from benchmarks.turns import (
    PRECISIONS,
    Draw,
    as_the_sampler_does,
    compare,
    in_turns,
    measure_in_passive_process,
)
from metagan.networks.stylegan2.fast import prepare
from metagan.networks.stylegan2.network import Config, MappingConfig, StyleGAN2
from metagan.sampling.cuda_graphs import GraphRunner, RecordedSynthesis
from metagan.sampling.latents import latents
from metagan.sampling.sampler import exact_convolutions

TURNS = 4
# Resolution, channel base, and pictures at once: the official configurations' for these sizes.
CASES = ((256, 16384, 4), (256, 16384, 8), (1024, 32768, 1))
CUDA_CASES = ((256, 16384, 8), (256, 16384, 64), (1024, 32768, 4))
# Channels and size of large convolutions of 4 pictures, all of the same cost.
PEAK_SHAPES = ((64, 256), (128, 128), (256, 64), (512, 32))
PEAK_FLOPS = 2 * 4 * 9 * 64**2 * 256**2


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
    """Milliseconds a picture on the CPU, ratios and errors, by resolution and batch."""
    return measure_in_passive_process("benchmarks.sample", "measure_here")


def measure_here() -> dict[str, object]:
    """The same, in this process."""
    with torch.inference_mode():
        return {f"{case[0]}x{case[2]}": _measure_case(*case) for case in CASES}


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
        ways[name] = as_the_sampler_does(partial(prepare(network, dtype).synthesize, ws))
    peaks = {f"{name}_peak": _large_convolution(dtype) for name, dtype in PRECISIONS.items()}
    taken = in_turns(ways | peaks, TURNS)
    result = compare(ways, taken, batch)
    flops = batch * count_flops(network)
    for name in PRECISIONS:
        at_peak = [flops / PEAK_FLOPS * second for second in taken[f"{name}_peak"]]
        result[f"{name}_peak_gflops"] = round(flops / at_peak[0] / 1e9)
        result[f"{name}_share_of_peak"] = round(at_peak[0] / taken[name].wall, 2)
        result[f"{name}_cpu_share_of_peak"] = round(at_peak[1] / taken[name].processor, 2)
    return dict(sorted(result.items()))


def _measure_cuda_case(resolution: int, base: int, batch: int) -> dict[str, object]:
    network = make_network(resolution, base).to("cuda")
    ws = network.map_latents(latents(range(batch), network.z_dim).to("cuda"), psi=0.7)
    ways: dict[str, Draw] = {"plain": partial(plain.synthesize, network, ws)}
    for name, dtype in PRECISIONS.items():
        prepared = prepare(network, dtype)
        ways[f"{name}_unrecorded"] = partial(prepared.synthesize, ws)
        ways[name] = partial(RecordedSynthesis(prepared, GraphRunner(ws.device)).synthesize, ws)
    torch.cuda.reset_peak_memory_stats()
    result = compare(ways, in_turns(ways, TURNS), batch)
    result["peak_memory_mb"] = torch.cuda.max_memory_allocated() // 2**20
    return dict(sorted(result.items()))


def _large_convolution(dtype: torch.dtype) -> Draw:
    """The fastest of some large convolutions, PEAK_FLOPS each."""
    draws = {}
    for channels, size in PEAK_SHAPES:
        x, kernel = torch.randn(4, channels, size, size), torch.randn(channels, channels, 3, 3)
        laid_out = [each.to(dtype).contiguous(memory_format=torch.channels_last) for each in (x, kernel)]
        draws[str(channels)] = partial(F.conv2d, *laid_out, padding=1)
    taken = in_turns(draws, 2)
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
