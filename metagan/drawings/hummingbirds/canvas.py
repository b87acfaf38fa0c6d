"""The picture being made: linear light on rays, and layers laid over it from back to front."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metagan.drawings.tracing import Array, Field, normals, trace

Paint = Callable[[Array, Array], Array]


@dataclass
class Canvas:
    """A square picture seen straight on, without perspective.

    Attributes:
        light: Linear light, [3, size, size].
        depth: How near the nearest solid is at each place (z, larger is nearer), [size, size].
        scale: Pixels a unit.
        centre: What the middle of the picture looks at, x and y.
    """

    light: Array
    depth: Array
    scale: float
    centre: tuple[float, float]

    @property
    def size_px(self) -> int:
        """The picture's side."""
        return int(self.depth.shape[0])

    def project(self, points: Array) -> Array:
        """Columns and rows, [2, n], of points [3, n]."""
        middle = np.float32(self.size_px / 2 - 0.5)
        return np.stack(
            [
                middle + (points[0] - np.float32(self.centre[0])) * np.float32(self.scale),
                middle - (points[1] - np.float32(self.centre[1])) * np.float32(self.scale),
            ]
        )

    def add_solid(self, field: Field, box: Array, paint: Paint, steps: int = 32) -> None:
        """Trace a field within a box ([2, 3]: its low and high corners) and paint what is nearest.

        paint takes points and normals, [3, n], and gives their light, [3, n].
        """
        columns, rows = self._window(box)
        if not columns.size or not rows.size:
            return
        x = (columns - np.float32(self.size_px / 2 - 0.5)) / np.float32(self.scale) + np.float32(
            self.centre[0]
        )
        y = (np.float32(self.size_px / 2 - 0.5) - rows) / np.float32(self.scale) + np.float32(self.centre[1])
        across, down = np.meshgrid(x, y)
        start = np.stack([across.ravel(), down.ravel(), np.full(across.size, box[1, 2])]).astype(np.float32)
        rays = np.zeros_like(start)
        rays[2] = -1
        far = np.full(across.size, box[1, 2] - box[0, 2], np.float32)
        reached = trace(field, start, rays, np.zeros_like(far), far, steps)
        height = start[2] - reached
        window = np.ix_(rows.astype(np.intp), columns.astype(np.intp))
        seen = np.flatnonzero(np.isfinite(reached) & (height > self.depth[window].ravel()))
        points = start[:, seen] + rays[:, seen] * reached[seen]
        row, column = rows[seen // columns.size].astype(np.intp), columns[seen % columns.size].astype(np.intp)
        self.depth[row, column] = height[seen]
        self.light[:, row, column] = paint(points, normals(field, points, 0.008))

    def _window(self, box: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        corners = self.project(box.T)
        low = np.clip(np.floor(corners.min(1)) - 1, 0, self.size_px)
        high = np.clip(np.ceil(corners.max(1)) + 2, 0, self.size_px)
        return np.arange(low[0], high[0], dtype=np.float32), np.arange(low[1], high[1], dtype=np.float32)

    def add_layer(self, light: Array, cover: Array, top: int, left: int) -> None:
        """Lay light, [3, h, w], over the picture by its cover, [h, w], with its corner at a row and column."""
        height, width = cover.shape
        window = self.light[:, top : top + height, left : left + width]
        window += (light - window) * cover


def bounds(points: Array, margin: float) -> Array:
    """The box about points, [3, n], with a margin, [2, 3]."""
    return np.stack([points.min(1) - np.float32(margin), points.max(1) + np.float32(margin)])
