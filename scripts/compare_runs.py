"""Compare training runs at equal processor time: a Markdown table of each one's last measures until then.

    python scripts/compare_runs.py runs/stylegan2 runs/dcgan --minutes 30

Seconds on the clock say little on a machine that others use, so runs are compared by `processor_s` of metrics.jsonl.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from metagan.training.run_folder import RunFolder, read_config

MEASURES = ("distance", "precision", "recall", "coverage")


def row(path: Path, most_s: float) -> str:
    """Return a run's row: its last measures within so many processor seconds, and when they were taken."""
    folder = RunFolder(path)
    measured = [
        line for line in folder.read_metrics() if "distance" in line and line.get("processor_s", 0) <= most_s
    ]
    if not measured:
        raise SystemExit(f"{path}: nothing was measured in the first {most_s / 60:g} processor minutes")
    last = measured[-1]
    cells = [f"{last['processor_s'] / 60:.1f}", f"{last['kimg']:g}", f"{last['steps']:,}"]
    cells += [f"{last[name]:.3g}" if name in last else "" for name in MEASURES]
    config = read_config(folder)
    return f"| {config.architecture}, `{config.preset}` | {' | '.join(cells)} |"


def table(paths: list[Path], minutes: float) -> str:
    """Return the table of these runs."""
    head = ("run", "processor minutes", "kimg", "steps", *MEASURES)
    rows = [row(path, minutes * 60) for path in paths]
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *rows])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--minutes", type=float, default=30.0)
    given = parser.parse_args()
    sys.stdout.write(table(given.runs, given.minutes) + "\n")
