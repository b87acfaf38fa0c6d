"""`python -m benchmarks`: run all measurements, or those named, and write their results."""

import json
import platform
import sys
from pathlib import Path

import torch

from benchmarks import live, live_site, load, site, start, stylegan3, train
from metagan.files import write_bytes

RESULTS = Path(__file__).with_name("results.json")
ALL = {
    "start": start.measure,
    "build": site.measure_build,
    "pages": site.measure_pages,
    "memory": site.measure_memory,
    "train": train.measure,
    "live": live.measure,
    "live_site": live_site.measure,
    "load": load.measure,
    "stylegan3": stylegan3.measure,
}


def main() -> None:
    """Run and write; measurements that aren't run keep their last result."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["machine"] = (
        f"{torch.get_num_threads()} threads, Python {platform.python_version()}, torch {torch.__version__}"
    )
    for name in sys.argv[1:] or ALL:
        print(f"{name} ...", file=sys.stderr)
        results[name] = ALL[name]()
        print(json.dumps(results[name], indent=2), file=sys.stderr)
        write_bytes(RESULTS, json.dumps(results, indent=2).encode() + b"\n")


main()
