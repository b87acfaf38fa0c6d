"""Where R3GAN's processor time goes in PyTorch, and at which rate its convolutions run: what a kernel could gain.

The network has blocks of the published shape: twice as many channels inside as outside, in groups of 16.
"""

import ctypes
import time
from collections import defaultdict
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from benchmarks.native import peak_flops
from benchmarks.turns import measure_in_passive_process
from metagan.live.native import NativeKernel, native_kernel
from metagan.networks.r3gan.network import R3GAN, Config, StageConfig
from metagan.sampling.memory import keep_freed_memory

ROUNDS = 5
CHANNELS = (768, 768, 768, 768, 384)  # of 4x4, 8x8, ..., 64x64
STAGES = tuple(StageConfig(each, 2 * each, 2 * each // 16, blocks=2) for each in CHANNELS)


class Convolutions(TorchFunctionMode):
    """Adds up processor time and operations of convolutions, by kind."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = defaultdict(float)
        self.operations: dict[str, float] = defaultdict(float)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of PyTorch's, and measure it if it is a convolution."""
        kwargs = kwargs or {}
        if func is not torch.conv2d:
            return func(*args, **kwargs)
        begin = time.process_time()
        result = func(*args, **kwargs)
        kind = "1x1" if args[1].shape[2] == 1 else "3x3 in groups"
        self.seconds[kind] += time.process_time() - begin
        self.operations[kind] += 2 * result.numel() * args[1][0].numel()
        return result


def measure() -> dict[str, object]:
    """Milliseconds of a picture, and of its convolutions, and their rates beside the kernel's peak, on one thread."""
    return measure_in_passive_process("benchmarks.r3gan", "measure_here")


@torch.inference_mode()
def measure_here() -> dict[str, object]:
    """The same, in this process."""
    torch.set_num_threads(1)
    network, best, fastest = R3GAN(Config(STAGES, z_dim=64)).eval(), float("inf"), Convolutions()
    ws = torch.randn(1, 1, 64)
    for _ in range(ROUNDS):
        begin = time.process_time()
        with keep_freed_memory(), Convolutions() as measured:
            network.synthesize(ws)
        taken = time.process_time() - begin
        if taken < best:
            best, fastest = taken, measured
    kernel = native_kernel()
    peak = peak_flops(ctypes.CDLL(kernel.run._name)) if isinstance(kernel, NativeKernel) else None
    return {
        "resolution": network.size.width,
        "cpu_ms": round(1e3 * best, 1),
        "peak_gflops_a_s": peak and round(peak / 1e9, 1),
        "convolutions": {
            kind: {
                "share": round(seconds / best, 3),
                "gflops_a_s": round(fastest.operations[kind] / seconds / 1e9, 1),
            }
            for kind, seconds in fastest.seconds.items()
        },
    }
