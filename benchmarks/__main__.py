"""`python -m benchmarks`: run all measurements, or those named, and write their results."""

import argparse
import importlib
import json
import platform
import re
import sys
from pathlib import Path

import torch

from metagan.files import write_bytes

RESULTS = Path(__file__).with_name("results.json")
ALL = {
    "start": "start.measure",
    "build": "site.measure_build",
    "pages": "site.measure_pages",
    "memory": "site.measure_memory",
    "train": "train.measure",
    "live": "live.measure",
    "forms": "forms.measure",
    "webgpu": "webgpu.measure",
    "live_site": "live_site.measure",
    "yours": "yours.measure",
    "load": "load.measure",
    "stylegan3": "stylegan3.measure",
    "sample": "sample.measure",
    "native": "native.measure",
    "stylegan3_native": "stylegan3.measure_native",
    "r3gan": "r3gan.measure",
    "upscale": "upscale.measure",
    "upscale_speed": "upscale.measure_speed",
    "lab": "lab.measure",
    "scale": "scale.measure",
    "simulate": "simulate.measure",
}
ON_GPU = {
    "sample": "sample.measure_cuda",
    "train": "train_cuda.measure_cuda",
    "webgpu": "webgpu.measure",
}
# With --peer, on this device.
BESIDE_A_PEER = {
    "cpu": {"sample": "peers.measure_sampling", "load": "peers.measure_loading"},
    "cuda": {"train": "peers.measure_training"},
}


def processor() -> str:
    """The processor's name, and the vector instructions that torch uses on it."""
    about = Path("/proc/cpuinfo")  # Linux; platform.processor() is empty or "x86_64" there
    text = about.read_text() if about.exists() else ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    narrow = " with BF16" if re.search(r"^flags\s*:.*\bavx512_bf16\b", text, re.MULTILINE) else ""
    return f"{name[1] if name else platform.processor()} ({torch.backends.cpu.get_cpu_capability()}{narrow})"


def main() -> None:
    """Run and write; measurements that aren't run keep their last result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(ALL)}; by default all")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--peer",
        type=Path,
        metavar="DIR",
        help="a checkout of another program (benchmarks/peers.py names them) to compare with: sample, load, and train "
        "on a GPU",
    )
    chosen = parser.parse_args()
    there = ALL if chosen.device == "cpu" else ON_GPU
    if chosen.peer:
        there = BESIDE_A_PEER[chosen.device]
    if unknown := set(chosen.names) - set(there):
        beside = " with --peer" if chosen.peer else ""
        parser.error(f"on {chosen.device}{beside} there is no {', '.join(unknown)}")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if chosen.device == "cpu":
        results["machine"] = (
            f"{processor()}, {torch.get_num_threads()} threads, Python {platform.python_version()}, "
            f"torch {torch.__version__}"
        )
    for name in chosen.names or there:
        print(f"{name} ...", file=sys.stderr)
        module, function = there[name].split(".")
        measure = getattr(importlib.import_module(f"benchmarks.{module}"), function)
        result = measure(chosen.peer) if chosen.peer else measure()
        print(json.dumps(result, indent=2), file=sys.stderr)
        if chosen.peer:
            peers = results.setdefault("peers", {})
            peers.setdefault(result.pop("program"), {})[name] = result
        else:
            results[name if chosen.device == "cpu" else f"{name}_cuda"] = result
        write_bytes(RESULTS, json.dumps(results, indent=2).encode() + b"\n")


main()
