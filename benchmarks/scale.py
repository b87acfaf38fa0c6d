"""A million pictures: engines side by side, memory, a run with nothing to do, the site and the choice over an index.

Commands run in children of their own, whose processor time and peak memory the system tells. Ratios are of engines
that take turns. The index of a million rows is made from one real shard of a thousand bundled apes: each of the other
999 is a hard link to it, with an index of its own seeds. Without Ray (`pip install 'metagan[ray]'`) its lines are left
out.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metagan.shards.manifest import RunManifest, index_name, read_manifest, zip_name
from metagan.shards.shard import decode_index, encode_index

ROUNDS = 3
RATE_SHARDS, RATE_PICTURES = 12, 50
MEMORY_PICTURES = (10_000, 100_000)
SHARDS, PER_SHARD = 1000, 1000
SUBJECT = """\
site:
  title: Apes
  base_url: https://example.org/apes/
subjects:
  ape:
    title: Ape
    weights: bundled:apes
    licence: CC0-1.0
    source: metagan
"""


def measure() -> dict[str, object]:
    """All lines; those of Ray only where it is installed."""
    results: dict[str, object] = {"load": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        results |= measure_index(folder)
        results["memory"] = [measure_memory(folder / str(count), count) for count in MEMORY_PICTURES]
    if importlib.util.find_spec("ray"):
        results["engines"] = measure_engines()
    return results | {"load_after": round(os.getloadavg()[0], 1)}


# A million rows


def measure_index(folder: Path) -> dict[str, object]:
    """A run with nothing to do, a site and a choice over a million rows."""
    run = make_run(folder)
    again = sample(SHARDS * PER_SHARD, PER_SHARD, run.parent)
    (folder / "registry.yaml").write_text(SUBJECT)
    build = ["build", "--pictures", str(run), "--out", "site"]
    choose = ["pick", str(run), "--scores", "scores.jsonl", "--out", "seeds.txt"]
    results = {
        name: run_command(folder, command)
        for name, command in {
            "nothing_to_do": again,
            "build": build,
            "build_again": build,
            "pick": choose,
        }.items()
    }
    files = [path for path in (folder / "site").rglob("*") if path.is_file()]
    pages = [path.stat().st_size for path in files if path.suffix in {".html", ".js", ".css"}]
    return {**results, "site_files": len(files), "pages_bytes": sum(pages)}


def make_run(folder: Path) -> Path:
    """A run of a thousand shards, of which one is drawn."""
    run_command(folder, sample(PER_SHARD, PER_SHARD, folder / "runs"))
    (run,) = (folder / "runs").iterdir()
    first = range(PER_SHARD)
    rows = decode_index((run / index_name(first)).read_bytes())
    if rows is None:
        raise AssertionError("the shard that was just drawn has an index")
    rng = np.random.default_rng(1)
    for start in range(PER_SHARD, SHARDS * PER_SHARD, PER_SHARD):
        seeds = range(start, start + PER_SHARD)
        hashes = rng.integers(0, 2**64, PER_SHARD, dtype=np.uint64).tolist()
        shifted = (
            row.model_copy(update={"seed": seed, "dhash": f"{dhash:016x}"})
            for row, seed, dhash in zip(rows, seeds, hashes, strict=True)
        )
        (run / index_name(seeds)).write_bytes(encode_index(shifted))
        os.link(run / zip_name(first), run / zip_name(seeds))
    manifest = read_manifest((run / "manifest.json").read_bytes(), "manifest.json")
    ends = tuple((start, start + PER_SHARD - 1) for start in range(0, SHARDS * PER_SHARD, PER_SHARD))
    whole: RunManifest = manifest.model_copy(update={"pictures": SHARDS * PER_SHARD, "shards": ends})
    (run / "manifest.json").write_bytes(whole.encode())
    with (folder / "scores.jsonl").open("w") as file:
        file.write('{"task": "made up"}\n')
        for seed, logit in enumerate(rng.normal(size=SHARDS * PER_SHARD).tolist()):
            file.write(f'{{"seed": {seed}, "logit": {logit:.5f}, "distance": null, "copy": false}}\n')
    return run


def sample(count: int, per_shard: int, out: Path) -> list[str]:
    """The command that draws so many apes."""
    seeds = ["--seeds", f"0-{count - 1}"]
    return ["sample", "bundled:apes", *seeds, "--shards", str(per_shard), "--out", str(out)]


def run_command(folder: Path, command: Sequence[str]) -> dict[str, float]:
    """Run metagan in a folder; its seconds, those of its processors, and its peak memory."""
    begin = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "metagan", *command], cwd=folder, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"metagan {' '.join(command)} failed")
    return {
        "seconds": round(time.perf_counter() - begin, 2),
        "processor_s": round(used.ru_utime + used.ru_stime, 2),
        "peak_mb": round(used.ru_maxrss / 1000),
    }


def measure_memory(folder: Path, count: int) -> dict[str, float]:
    """What drawing so many pictures takes, in shards of a hundred."""
    folder.mkdir()
    return {"pictures": count} | run_command(folder, sample(count, 100, folder))


# Engines


def measure_engines() -> dict[str, object]:
    """Pictures a second of this process, of one worker on Ray and of two, in turns, and the ratios of each round."""
    ways = {"local": ("local", 1), "one_worker": ("ray", 1), "two_workers": ("ray", 2)}
    rounds = [{name: rate_in_child(*way) for name, way in ways.items()} for _ in range(ROUNDS)]
    rates = {name: [one[name]["pictures_a_second"] for one in rounds] for name in ways}
    return {
        "rounds": rounds,
        "overhead": round(
            statistics.median(a / b - 1 for a, b in zip(rates["local"], rates["one_worker"], strict=True)), 3
        ),
        "two_beside_one": round(
            statistics.median(b / a for a, b in zip(rates["one_worker"], rates["two_workers"], strict=True)),
            2,
        ),
    }


def rate_in_child(engine: str, workers: int) -> dict[str, float]:
    """The rate in a process of its own, each worker with one thread."""
    command = [sys.executable, "-m", "benchmarks.scale", engine, str(workers)]
    patient = {
        "RAY_agent_register_timeout_ms": "300000",
        "RAY_raylet_start_wait_time_s": "60",
    }  # busy machines
    environment = os.environ | {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"} | patient
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    return dict(json.loads(told.splitlines()[-1]))


def rate(engine: str, workers: int) -> dict[str, float]:
    """Pictures a second from each worker's first shard on: what starting takes is told by itself."""
    from metagan.sampling.target import find_target
    from metagan.shards.draw import draw_here, finish_run, plan_run, sampler_like

    target = find_target("bundled:apes", Path("registry.yaml"))
    sampler = sampler_like(target, "cpu", "fp32", None, lambda _text: None)
    seeds = range(RATE_PICTURES * (RATE_SHARDS + workers))
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_run(
            target, target.settings(), seeds, folder, image_format="webp", per_shard=RATE_PICTURES, sampler=sampler,
            device="cpu", precision="fp32",
        )  # fmt: skip
        begin = time.perf_counter()
        done = _moments(draw_here(plan, sampler)) if engine == "local" else _on_ray(plan, workers)
        moments = list(done)
        finish_run(plan)
    timed = moments[-1] - moments[workers - 1]
    return {
        "pictures_a_second": round(RATE_PICTURES * RATE_SHARDS / timed, 2),
        "start_s": round(moments[0] - begin, 2),
    }


def _moments(finished: Iterator[Any]) -> Iterator[float]:
    for _ in finished:
        yield time.perf_counter()


def _on_ray(plan: Any, workers: int) -> Iterator[float]:
    import ray

    from metagan.shards.on_ray import draw_on_ray

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000)
    try:
        yield from _moments(draw_on_ray(plan, 1, lambda _text: None))
    finally:
        ray.shutdown()


if __name__ == "__main__":
    print(json.dumps(rate(sys.argv[1], int(sys.argv[2]))))
