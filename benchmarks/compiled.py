"""`metagan sample --compile` beside sampling without it: milliseconds a picture, and how long it takes to be ready."""

import os
import tempfile
import time
from functools import partial

import torch

from benchmarks.sample import make_network
from benchmarks.turns import Draw, as_the_sampler_does, in_turns, measure_in_passive_process
from metagan.checkpoints.read import read_checkpoint
from metagan.networks.loading.detect import load_generator, prepare_synthesis
from metagan.registry.weights_ref import bundled_weights
from metagan.sampling.compiled import CompiledSynthesis
from metagan.sampling.latents import latents

TURNS = 8
BATCHES = {64: 16, 256: 4}


def measure() -> dict[str, object]:
    """By resolution: the bundled apes, and a StyleGAN2 of the official width for 256x256."""
    with tempfile.TemporaryDirectory() as kept:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = kept
        first, again = (measure_in_passive_process("benchmarks.compiled", "measure_here") for _ in range(2))
        del os.environ["TORCHINDUCTOR_CACHE_DIR"]
    return {
        size: {**both[0], "ready_again_s": both[1]["ready_s"]}  # type: ignore[index, dict-item]
        for size, both in ((size, (first[size], again[size])) for size in first)
    }


@torch.inference_mode()
def measure_here() -> dict[str, object]:
    """The same, in this process on one thread; "ready_s" is the first batch's time."""
    torch.set_num_threads(1)
    return {str(resolution): _measure(resolution, batch) for resolution, batch in BATCHES.items()}


def _measure(resolution: int, batch: int) -> dict[str, float]:
    bundled = resolution == 64
    network = (
        load_generator(read_checkpoint(bundled_weights("apes")))
        if bundled
        else make_network(resolution, 16384)
    )
    ws = network.map_latents(latents(range(batch), network.z_dim), psi=0.7)
    compiled = CompiledSynthesis(network)
    begin = time.perf_counter()
    compiled.synthesize(ws)
    ready_s = time.perf_counter() - begin
    ways: dict[str, Draw] = {
        "fp32": as_the_sampler_does(partial(prepare_synthesis(network, torch.float32).synthesize, ws)),
        "compiled": as_the_sampler_does(partial(compiled.synthesize, ws)),
    }
    taken = in_turns(ways, TURNS)
    result = {f"{name}_cpu_ms": round(1e3 * taken[name].processor / batch, 2) for name in ways}
    result |= {f"{name}_ms": round(1e3 * taken[name].wall / batch, 2) for name in ways}
    return {
        **result,
        "ready_s": round(ready_s, 1),
        "cpu_ratio": round(taken["fp32"].processor / taken["compiled"].processor, 2),
    }
