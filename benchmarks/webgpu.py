"""The page's WebGPU scripts and shaders beside PyTorch, on the best adapter of this machine.

Same weights and styles, in turns in one process. The page's scripts run outside of a browser
(tests/live/wgpu_device.py), choose the forms of convolutions by their own measurement, and draw a picture; what they
had the adapter do for it is then repeated. All times are those of one of several pictures in a row, from styles to
bytes that stay on the device.

Where the adapter is a program, which computes on the processor, the network is small, and its times say nothing about a
GPU. Without a GPU that PyTorch can use, its float32 is metagan's kernel for the processor.
"""

import math
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.live import make_network
from benchmarks.turns import PRECISIONS, in_turns
from metagan.export.blob import pack
from metagan.export.fold import fold
from metagan.export.replay import map_latents
from metagan.networks.stylegan2.fast import prepare
from metagan.networks.stylegan2.network import StyleGAN2
from metagan.sampling.cuda_graphs import GraphRunner, RecordedSynthesis
from metagan.sampling.latents import latents
from metagan.sampling.levels import to_uint8
from metagan.sampling.sampler import exact_convolutions
from tests.live.wgpu_device import WgpuDevice, best_adapter, wgpu_device

TURNS, PSI = 4, 0.7
# Resolution, channel base, and most channels: the official configurations' for these sizes.
CASES = ((256, 16384, 512), (512, 32768, 512), (1024, 32768, 512))
CASES_IN_SOFTWARE = ((64, 2048, 64),)


def measure() -> dict[str, object]:
    """Milliseconds a picture by WebGPU and by PyTorch, how far WebGPU's are off, and the forms of its convolutions."""
    adapter = best_adapter()
    if adapter is None:
        raise SystemExit("wgpu finds no adapter: install a Vulkan driver")
    in_software = adapter.info["adapter_type"] == "CPU"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    results: dict[str, object] = {
        "adapter": f"{adapter.info['device']} ({adapter.info['backend_type']})",
        "in_software": in_software,
        "torch": f"{torch.__version__} on {torch.cuda.get_device_name() if device.type == 'cuda' else 'the processor'}",
    }
    for case in CASES_IN_SOFTWARE if in_software else CASES:
        frames = 1 if in_software else 20
        with ExitStack() as devices, torch.inference_mode(), exact_convolutions():
            drawers = {precision: devices.enter_context(wgpu_device(adapter)) for precision in ("f32", "f16")}
            if not drawers["f16"].has_half:
                del drawers["f16"]
            results[str(case[0])] = _measure_case(make_network(*case), drawers, device, frames)
    return results


def _measure_case(
    network: StyleGAN2, drawers: dict[str, WgpuDevice], device: torch.device, frames: int
) -> dict[str, object]:
    config, tensors = fold(network)
    content = pack(config, tensors, "fp32")
    z = latents([0], network.z_dim)
    styles = map_latents(config, tensors, z, None, PSI).expand(2 * len(config.channels), -1).numpy()
    ws = network.map_latents(z, psi=PSI)
    wanted = to_uint8(network.synthesize(ws))[0].astype(float)
    facts: dict[str, object] = {}
    ways: dict[str, Callable[[], object]] = {}
    for precision, drawer in drawers.items():
        facts[f"webgpu_{precision}_forms"] = drawer.open(content, precision, form="fastest")
        error = drawer.draw(styles)[:, :3].reshape(wanted.shape) - wanted
        facts[f"webgpu_{precision}_psnr_db"] = round(
            10 * math.log10(255**2 / max(float(np.mean(error**2)), 1e-12)), 1
        )
        ways[f"webgpu_{precision}"] = partial(drawer.draw_again, frames)
    network, ws = network.to(device), ws.to(device)
    for name, dtype in PRECISIONS.items():
        prepared = prepare(network, dtype)
        if device.type == "cuda":
            prepared = RecordedSynthesis(prepared, GraphRunner(device))
        ways[f"torch_{name}"] = partial(_draw_in_torch, partial(prepared.synthesize, ws), frames)
    taken = in_turns(ways, TURNS)
    return facts | {f"{name}_ms": round(1e3 * each.wall / frames, 2) for name, each in taken.items()}


def _draw_in_torch(draw: Callable[[], Tensor], frames: int) -> None:
    for _ in range(frames):
        (draw().float() * 127.5 + 128).clamp(0, 255).to(torch.uint8)
