"""How long `metagan --help` takes, as a whole process."""

import statistics
import subprocess
import sys
import time


def measure() -> dict[str, float]:
    """Median, fastest and slowest of eleven starts, in seconds."""
    seconds = []
    for _ in range(11):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "metagan", "--help"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - begin)
    return {
        "median_s": round(statistics.median(seconds), 3),
        "min_s": round(min(seconds), 3),
        "max_s": round(max(seconds), 3),
    }
