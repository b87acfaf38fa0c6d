"""Ways to the same pictures, timed in turns: the fastest turn of each counts, as other programs slow all of them down.

On a busy machine even the fastest turn has waited for processors; processor time tells what it took without that.
"""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from metagan.sampling.memory import keep_freed_memory

Draw = Callable[[], Tensor]
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Taken(NamedTuple):
    """Seconds by the clock, and of processor time by all threads together."""

    wall: float
    processor: float


def measure_in_passive_process(module: str, function: str) -> dict[str, object]:
    """What that function (or call, with its arguments) of that module returns, in a process whose threads sleep while
    they wait.

    Else, on a busy machine, waiting for each other takes processor time.
    """
    call = function if function.endswith(")") else f"{function}()"
    command = [sys.executable, "-c", f"import json, {module} as m; print(json.dumps(m.{call}))"]
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    results: dict[str, object] = json.loads(printed)
    return results


def as_the_sampler_does(draw: Draw) -> Draw:
    def draw_and_keep() -> Tensor:
        with keep_freed_memory():
            return draw()

    return draw_and_keep


def compare(ways: dict[str, Draw], taken: dict[str, Taken], batch: int) -> dict[str, object]:
    """Milliseconds a picture, how many times the plain transcription's speed, and how far from its pictures."""
    wanted = levels(ways["plain"]())
    result: dict[str, object] = {
        "plain_ms": round(1e3 * taken["plain"].wall / batch, 2),
        "plain_cpu_ms": round(1e3 * taken["plain"].processor / batch, 2),
    }
    for name in ways.keys() - {"plain"}:
        error = levels(ways[name]()) - wanted
        result[f"{name}_ms"] = round(1e3 * taken[name].wall / batch, 2)
        result[f"{name}_cpu_ms"] = round(1e3 * taken[name].processor / batch, 2)
        result[f"{name}_ratio"] = round(taken["plain"].wall / taken[name].wall, 2)
        result[f"{name}_cpu_ratio"] = round(taken["plain"].processor / taken[name].processor, 2)
        result[f"{name}_psnr_db"] = round(
            10 * math.log10(255**2 / max(float(error.square().mean()), 1e-12)), 1
        )
    return result


def levels(images: Tensor) -> Tensor:
    """From [-1, 1] to [0, 255], not rounded."""
    return (images * 127.5 + 128).clamp(0, 255)


def in_turns(ways: Mapping[str, Callable[[], object]], turns: int) -> dict[str, Taken]:
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
