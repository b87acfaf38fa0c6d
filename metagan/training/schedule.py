"""When a training run does what, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Measure = Callable[[NDArray[np.uint8]], Mapping[str, float]]


@dataclass(frozen=True)
class Schedule:
    """When a run does what besides training; none of it changes the weights.

    Args:
        total_kimg: Where the run ends.
        state_kimg: Between two state files: what a crash loses at most.
        metrics_kimg: Between two lines of measurements.
        snapshot_kimg: Between two snapshots, with their grids and the report.
        measured_pictures: How many pictures a snapshot's quality is measured on.
        keep_best: Whether best.safetensors is kept.
    """

    total_kimg: float
    state_kimg: float
    metrics_kimg: float
    snapshot_kimg: float
    measured_pictures: int = 1000
    keep_best: bool = True


@runtime_checkable
class Watcher(Protocol):
    """Who is told how a run goes."""

    def progress(self, seen: int, readings: Mapping[str, float]) -> None:
        """After each step: pictures seen so far, and the newest readings."""
        ...

    def say(self, text: str) -> None:
        """Something worth a line."""
        ...

    def stop_asked(self) -> bool:
        """Whether the run shall end after this step, with a state file."""
        ...


class Silent:
    """Watches nothing."""

    def progress(self, seen: int, readings: Mapping[str, float]) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def stop_asked(self) -> bool:
        """Never."""
        return False


@dataclass
class Best:
    """The best snapshot so far, by distance."""

    kimg: float | None = None
    distance: float = float("inf")
