"""StyleGAN2 on metagan's kernel beside PyTorch.

Same weights and styles, float32, in turns in one process; the fastest turn of each counts, because other programs slow
all of them down. `sample --peer DIR` compares both with other programs.

The share of the peak of each layer is what its products would take at the rate of a large product in the nearest cache,
by the time that the whole layer takes.
"""

import ctypes
import sys
import time
from functools import partial

import torch
from torch import Tensor

from benchmarks.sample import make_network
from benchmarks.turns import Draw, as_the_sampler_does, in_turns, measure_in_passive_process
from metagan.live.native import NativeKernel, native_kernel
from metagan.networks.stylegan2.fast import FastSynthesis, plan_blocks
from metagan.networks.stylegan2.native import NativeStyleGAN2, native_form
from metagan.sampling.latents import latents

TURNS = 2
# Resolution, channel base, pictures at once, threads.
CASES = (
    (256, 16384, 1, 1),
    (256, 16384, 4, 1),
    (1024, 32768, 1, 1),
    (256, 32768, 1, 1),
    (256, 16384, 1, 2),
)
# Of each layer of a 256x256 network of channel base 16384, and the last ones at 1024x1024: size, inputs, outputs.
LAYERS = (
    (16, 512, 512),
    (32, 512, 512),
    (64, 512, 256),
    (128, 256, 128),
    (256, 128, 64),
    (512, 128, 64),
    (1024, 64, 32),
)
PEAK = (240, 256, 512)  # rows, inner size and columns of the product that counts as the peak
TILES = 32  # at a time


def measure() -> dict[str, object]:
    """Milliseconds a picture, ratios and differences by case, and the layers' shares of the peak."""
    return measure_in_passive_process("benchmarks.native", "measure_here")


def measure_here() -> dict[str, object]:
    """The same, in this process."""
    kernel = native_kernel()
    if not isinstance(kernel, NativeKernel):
        return {"kernel": None, "reason": kernel.reason}
    with torch.inference_mode():
        layers, cases = _measure_layers(kernel), {}
        for case in CASES:
            cases[_name(*case)] = _measure_case(*case)
            print(f"{_name(*case)}: {cases[_name(*case)]}", file=sys.stderr)
        return {"kernel": kernel.name, "cases": cases, "layers": layers}


def _name(resolution: int, base: int, batch: int, threads: int) -> str:
    return f"{resolution}x{resolution}, channel base {base}, batch {batch}, {threads} thread{'s' * (threads > 1)}"


def _measure_case(resolution: int, base: int, batch: int, threads: int) -> dict[str, object]:
    torch.set_num_threads(threads)
    network = make_network(resolution, base)
    ws = network.map_latents(latents(range(batch), network.z_dim), psi=0.7)
    form = native_form(network)
    if not isinstance(form, NativeStyleGAN2):
        raise SystemExit(f"the kernel does not draw this: {form.reason}")
    ways: dict[str, Draw] = {
        "kernel": partial(form.synthesize, ws),
        "pytorch": as_the_sampler_does(partial(FastSynthesis(network, plan_blocks(network)).synthesize, ws)),
    }
    taken = in_turns(ways, TURNS)
    mine = _levels(form.synthesize(ws))
    facts: dict[str, object] = {}
    for name, draw in ways.items():
        facts[f"{name}_ms"] = round(1e3 * taken[name].wall / batch, 1)
        facts[f"{name}_cpu_ms"] = round(1e3 * taken[name].processor / batch, 1)
        if name != "kernel":
            difference = (_levels(draw()) - mine).abs()
            facts[f"{name}_ratio"] = round(taken[name].wall / taken["kernel"].wall, 2)
            facts[f"{name}_cpu_ratio"] = round(taken[name].processor / taken["kernel"].processor, 2)
            facts[f"{name}_most_levels"] = int(difference.max())
            facts[f"{name}_share_differing"] = round(float((difference > 0).float().mean()), 6)
    return facts


def _levels(images: Tensor) -> Tensor:
    return (images * 127.5 + 128).clamp(0, 255).to(torch.uint8).int()


# --------------------------------------------------------------------------------------------
# Layer by layer


def _measure_layers(kernel: NativeKernel) -> dict[str, object]:
    library = ctypes.CDLL(kernel.run._name)  # its functions, without metagan's signatures
    torch.set_num_threads(1)
    peak = peak_flops(library) / 1e9
    layers: dict[str, object] = {}
    for size, inputs, outputs in LAYERS:
        for up in (True, False) if size > 16 else (False,):  # 8x8 inputs take one product
            run, flops = _layer(library, size, inputs if up else outputs, outputs, up=up)
            rate = _best(run, flops) / 1e9
            name = f"{size}x{size}, {inputs if up else outputs} to {outputs}{', up' if up else ''}"
            layers[name] = {"products_gflops_a_s": round(rate, 1), "share_of_peak": round(rate / peak, 2)}
    return {"peak_gflops_a_s": round(peak, 1), "by_layer": layers}


def peak_flops(library: ctypes.CDLL) -> float:
    """Operations a second of a product that stays in the nearest caches, on one thread."""
    return _best(*_product(library))


def _best(run: Draw, flops: float) -> float:
    """Operations by second of processor time, of the fastest of some runs."""
    best = 0.0
    for _ in range(9):
        begin = time.process_time()
        run()
        best = max(best, flops / max(time.process_time() - begin, 1e-9))
    return best


def _product(library: ctypes.CDLL) -> tuple[Draw, float]:
    rows, inner, columns = PEAK
    a, b, c = torch.randn(rows * inner), torch.randn(inner * columns), torch.zeros(rows * columns)

    def run() -> Tensor:
        for _ in range(20):
            library.multiply_once(_place(a), _place(b), _place(c), rows, inner, columns)
        return c

    return run, 20 * 2 * rows * inner * columns


def _layer(library: ctypes.CDLL, size: int, inputs: int, outputs: int, *, up: bool) -> tuple[Draw, float]:
    """A layer's call, and the operations of its products: 81 a tile of 4x4 inputs when upsampling, else 36."""
    before, name = (size // 2, "upsampling") if up else (size, "winograd")
    x, weight = torch.zeros(before + 2, before + 2, inputs), torch.randn(outputs, inputs, 3, 3)
    x[1:-1, 1:-1] = torch.randn(before, before, inputs)
    y, s, gain, bias = (
        torch.zeros(size + 2, size + 2, outputs),
        *map(torch.ones, (inputs, outputs, outputs)),
    )
    kernels = torch.empty(library[f"{name}_kernels_floats"](outputs, inputs))
    library[f"{name}_kernels"](_place(weight), _place(kernels), outputs, inputs, outputs, inputs)
    across = before // 4
    chunk = max(1, TILES // across) if up else min(TILES, across**2)
    sizes = (before, inputs, outputs, chunk)
    work = torch.empty(library.convolve_up_floats(*sizes) if up else library.convolve_floats(*sizes[1:]))
    function = library.convolve_up if up else library.convolve
    tensors = (x, y, kernels, s, gain, bias)

    def run() -> Tensor:
        function(*map(_place, tensors), None, ctypes.c_float(1e9), _place(work), *sizes)
        return y

    return run, 2 * (81 if up else 36) * across**2 * inputs * outputs


def _place(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())
