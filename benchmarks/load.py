"""Loading weights, beside reading the file and copying its tensors: seconds and peak memory, in children of their own.

The file is a synthetic official pickle of 256x256 pictures with G, D and G_ema, or the same weights in another
container; its pages are in the system's cache, torch is imported before the clock starts, and both sides take turns.
Ratios are of the clock and of processor time, which other programs on the machine disturb less.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metagan.checkpoints.read import read_checkpoint
from metagan.networks.loading.detect import load_generator
from metagan.networks.mapping import MappingConfig
from metagan.networks.ops import usual_taps
from metagan.networks.stylegan2.discriminator import Discriminator, DiscriminatorConfig
from metagan.networks.stylegan2.formats.official import discriminator_names, to_official
from metagan.networks.stylegan2.network import Config, StyleGAN2
from tests.checkpoints.builder import module_tree, pickled

ROUNDS = 9
RESOLUTION = 256
CHANNELS = tuple(min(16384 // size, 512) for size in (4, 8, 16, 32, 64, 128, 256))


def measure() -> dict[str, object]:
    """How long and how much memory it takes to have a generator ready, by the file's format."""
    results: dict[str, object] = {"resolution": RESOLUTION}
    with tempfile.TemporaryDirectory() as folder:
        for name, path in write_files(Path(folder)):
            seconds = _child("seconds", path)
            memory = {side: _child(side, path)["peak_mb"] for side in ("plain", "metagan")}
            first = statistics.median(_child("first", path)["s"] for _ in range(3))
            results[name] = _summary(path, seconds, memory) | {"first_s": round(first, 3)}
            path.unlink()
    return results


def _summary(path: Path, seconds: dict[str, Any], memory: dict[str, float]) -> dict[str, object]:
    ratios = [mine / plain for mine, plain in zip(seconds["metagan"], seconds["plain"], strict=True)]
    processor = statistics.median(seconds["metagan cpu"]) / statistics.median(seconds["plain cpu"])
    generator, tensors = seconds["generator_mb"], seconds["tensors_mb"]
    return {
        "file_mb": round(path.stat().st_size / 1e6),
        "metagan_s": round(statistics.median(seconds["metagan"]), 3),
        "plain_s": round(statistics.median(seconds["plain"]), 3),
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "processor_ratio": round(processor, 2),
        "generator_mb": generator,
        "tensors_mb": tensors,
        "peak_mb": memory["metagan"],
        "plain_peak_mb": memory["plain"],
        "peak_share": round(memory["metagan"] / (generator + tensors), 2),
    }


# Files


def write_files(folder: Path) -> Any:
    """The same networks as official pickle, and as a torch zip of state dicts."""
    torch.manual_seed(0)
    generator = dict(to_official(StyleGAN2(_config())).state)
    discriminator = _discriminator()
    attributes = {role: _attributes(table) for role, table in (("G", generator), ("D", discriminator))}
    buffers = frozenset(name for name in generator if name.endswith(("_filter", "noise_const", "w_avg")))
    content = {
        "G": module_tree(generator, attributes["G"], buffers=buffers),
        "D": module_tree(discriminator, attributes["D"], buffers=buffers, class_name="Discriminator"),
        "G_ema": module_tree(generator, attributes["G"], buffers=buffers),
    }
    path = folder / "network-snapshot.pkl"
    path.write_bytes(pickled(content, protocol=3))
    yield "official pickle", path
    path = folder / "state.pt"
    torch.save(generator, path)
    yield "torch zip, one state dict", path


def _config() -> Config:
    return Config(MappingConfig(512, 0, 0, (512,) * 8), CHANNELS, clamp=256)


def _discriminator() -> dict[str, Tensor]:
    config = DiscriminatorConfig(CHANNELS[::-1])
    state = Discriminator(config).state_dict()
    taps = usual_taps((4, 4))
    return {
        foreign: taps.clone() if ours is None else state[ours]
        for foreign, ours in discriminator_names(config).items()
    }


def _attributes(table: Mapping[str, Tensor]) -> dict[str, object]:
    """What official layers state of themselves, about as much as the real ones do."""
    attributes: dict[str, object] = {
        "_init_args": (),
        "_init_kwargs": {"synthesis_kwargs": {"conv_clamp": 256}},
    }
    for name, tensor in table.items():
        layer, _, last = name.rpartition(".")
        if last != "weight":
            continue
        attributes |= {
            f"{layer}.in_features": tensor.shape[1],
            f"{layer}.activation": "linear" if "affine" in layer else "lrelu",
            f"{layer}.weight_gain": np.float64(0.044),
            f"{layer}._init_args": tuple(tensor.shape),
            f"{layer}._init_kwargs": {"w_dim": 512, "resolution": 256, "conv_clamp": 256},
        }
    return attributes


# Both sides


def load_by_metagan(path: Path) -> object:
    """What `metagan sample` does until it can draw."""
    return load_generator(read_checkpoint(path))


def read_and_copy(path: Path, sizes: list[int]) -> object:
    """The least that any loader does: read the file, and copy each of its tensors to a place of its own."""
    whole = torch.from_numpy(np.fromfile(path, np.uint8))
    copies, start = [], 0
    for size in sizes:
        copies.append(whole[start : start + size].clone())
        start += size
    return copies


def _sizes(path: Path) -> list[int]:
    tensors = [tensor for net in read_checkpoint(path).networks.values() for tensor in net.tensors.values()]
    return [tensor.numel() * tensor.itemsize for tensor in tensors]


# Children


def _child(task: str, path: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.load", task, str(path)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _seconds(path: Path) -> dict[str, object]:
    sizes = _sizes(path)
    generator: Any = load_by_metagan(path)
    needed = sum(tensor.numel() * tensor.itemsize for tensor in generator.state_dict().values())
    del generator
    sides: dict[str, Callable[[], object]] = {
        "metagan": lambda: load_by_metagan(path),
        "plain": lambda: read_and_copy(path, sizes),
    }
    seconds: dict[str, list[float]] = {name: [] for side in sides for name in (side, f"{side} cpu")}
    for _ in range(ROUNDS):
        for side, run in sides.items():
            told = _timed(run)
            seconds[side].append(told["s"])
            seconds[f"{side} cpu"].append(told["cpu_s"])
    return {**seconds, "generator_mb": round(needed / 1e6, 1), "tensors_mb": round(sum(sizes) / 1e6, 1)}


def _timed(run: Callable[[], object]) -> dict[str, float]:
    begin, processor = time.perf_counter(), time.process_time()
    kept = run()
    told = {"s": time.perf_counter() - begin, "cpu_s": time.process_time() - processor}
    del kept
    return told


def _peak(run: Callable[[], object]) -> dict[str, float]:
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    kept = run()
    peak = _resident("VmHWM") - before
    del kept
    return {"peak_mb": round(peak / 1e6, 1)}


def _resident(field: str) -> int:
    return int(Path("/proc/self/status").read_text().partition(f"{field}:")[2].split()[0]) * 1024


def main(task: str, path: Path) -> None:
    if task == "seconds":
        told: object = _seconds(path)
    elif task == "plain":
        sizes = json.loads(
            subprocess.check_output([sys.executable, "-m", "benchmarks.load", "sizes", str(path)])
        )
        told = _peak(lambda: read_and_copy(path, sizes))
    elif task == "sizes":
        told = _sizes(path)
    elif task == "first":
        told = _timed(lambda: load_by_metagan(path))
    else:
        told = _peak(lambda: load_by_metagan(path))
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
