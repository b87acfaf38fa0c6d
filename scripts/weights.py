"""The bundled generators, from nothing: draw a collection, train on it, measure the result, ship it.

    python scripts/weights.py [--runs FOLDER] [--kimg N] [--device auto] [--ship-only] [apes bagels hummingbirds]

`make weights` calls it. A run that was interrupted goes on. --ship-only takes runs as they are: the snapshot with the
least distance becomes metagan/weights/NAME.safetensors, and its measures, those of the snapshot at 20 kimg and the
floor stand in its header and in benchmarks/weights.json, which README shows.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from metagan.checkpoints.read import read_checkpoint
from metagan.checkpoints.write import write_safetensors

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "weights.json"
SHIPPED = ROOT / "metagan" / "weights"
PICTURES = 10_000
RESOLUTION = 64
RECIPE = ("--preset", "tiny", "--batch", "16", "--gamma", "5", "--ema-kimg", "10", "--licence", "CC0-1.0")
# The apes' sides differ (an earring, a hat's feather): they aren't mirrored.
RECIPES = {"apes": RECIPE, "bagels": (*RECIPE, "--mirror"), "hummingbirds": (*RECIPE, "--mirror")}
SETTLES_KIMG = {"apes": 125}  # where the rate falls to a half, 0.0025, and their colours come nearer
EARLY_KIMG = 20
KEPT = ("distance", "precision", "recall", "density", "coverage")


def metagan(*words: object) -> str:
    """Run a command of this checkout, its progress on stderr; what it printed."""
    command = [sys.executable, "-m", "metagan", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout  # noqa: S603


def train(name: str, runs: Path, kimg: float, device: str) -> None:
    """Draw the collection, where it isn't there yet, and train; the first snapshot comes at 20 kimg."""
    data = runs / f"{name}.zip"
    if not data.exists():
        metagan("dataset", "render", name, "--count", PICTURES, "--resolution", RESOLUTION, "--out", data)
    source = f"metagan dataset render {name} --count {PICTURES} --resolution {RESOLUTION}"
    settles = SETTLES_KIMG.get(name, kimg)
    stages = [(EARLY_KIMG, ()), (min(settles, kimg), ())]
    if settles < kimg:
        stages.append((kimg, ("--lr", 0.0025, "--lr-decay", settles)))
    for end, rate in stages:
        metagan(
            *("train", data, "--out", runs / name, *RECIPES[name], *rate, "--source", source),
            *("--kimg", end, "--snapshot-every", EARLY_KIMG, "--device", device),
        )


def ship(name: str, runs: Path, count: int, device: str) -> dict[str, Any]:
    """Put the best snapshot in its place; its measures."""
    snapshots = {kimg_of(path): path for path in sorted((runs / name / "snapshots").glob("*.safetensors"))}
    distances = {
        line["kimg"]: line["distance"]
        for line in map(json.loads, (runs / name / "metrics.jsonl").read_text().splitlines())
        if "distance" in line
    }
    best = min(snapshots, key=lambda kimg: distances[kimg])
    early = min(snapshots, key=lambda kimg: abs(kimg - EARLY_KIMG))
    measured = {
        kimg: json.loads(
            metagan(
                *("evaluate", snapshots[kimg], runs / f"{name}.zip", "--count", count),
                *("--device", device, "--json"),
            )
        )
        for kimg in {best, early}
    }
    measures = {
        "kimg": best,
        "count": count,
        "made": shown(measured[best]["made"]),
        "floor": shown(measured[best]["floor"]),
        f"at_{EARLY_KIMG}_kimg": shown(measured[early]["made"]),
    }
    checkpoint = read_checkpoint(snapshots[best])
    header, (network,) = checkpoint.header, checkpoint.networks.values()
    if header is None:
        raise AssertionError("snapshots are metagan's own files")
    source = f"Trained by metagan on pictures that it drew itself (metagan dataset render {name})"
    header = dataclasses.replace(header, source=source, training={**header.training, "evaluation": measures})
    out = SHIPPED / f"{name}.safetensors"
    write_safetensors(out, network.tensors, header)
    return {**measures, "size_bytes": out.stat().st_size}


def kimg_of(snapshot: Path) -> float:
    """000020_032.safetensors is at 20.032 kimg."""
    whole, rest = snapshot.stem.split("_")
    return int(whole) + int(rest) / 1000


def shown(measures: dict[str, float]) -> dict[str, float]:
    """The measures worth recording, to four digits."""
    return {key: float(f"{measures[key]:.4g}") for key in KEPT}


def main() -> None:
    """Parse, train, ship, record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=["apes", "bagels", "hummingbirds"])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--kimg", type=float, default=1000)
    parser.add_argument("--count", type=int, default=2000, help="pictures to measure on")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--ship-only", action="store_true")
    options = parser.parse_args()
    runs = options.runs.resolve()
    runs.mkdir(parents=True, exist_ok=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in options.names:
        if not options.ship_only:
            train(name, runs, options.kimg, options.device)
        results[name] = ship(name, runs, options.count, options.device)
        RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
