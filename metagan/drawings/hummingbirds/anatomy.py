"""The bird's joints and the field of its body, in its own frame: x forward, y up, z to its right side."""

from dataclasses import dataclass

import numpy as np

from metagan.drawings.hummingbirds.recipe import Recipe
from metagan.drawings.tracing import Array, smooth_min

Vector = Array  # [3]


@dataclass(frozen=True)
class Anatomy:
    """Where things are on one bird.

    Attributes:
        along: Unit vector from tail to neck.
        dorsal: Unit vector towards the back.
        forward: Unit vector along the bill.
        crownward: Unit vector to the top of the head.
        turn: From the bird's frame to the picture's, [3, 3].
    """

    along: Vector
    dorsal: Vector
    forward: Vector
    crownward: Vector
    head: Vector
    bill: tuple[Vector, ...]
    rump: Vector
    tailward: Vector
    shoulder: Vector
    plumpness: float
    turn: Array

    @property
    def near(self) -> int:
        """The side turned to the viewer: 1 right, -1 left."""
        return 1 if self.turn[2, 2] > 0 else -1

    def eye(self, side: int) -> Vector:
        """Centre of the eye on the right (1) or left (-1)."""
        place = self.head + self.forward * np.float32(0.045) + self.crownward * np.float32(0.032)
        return np.asarray(place + np.array([0, 0, side * 0.138], np.float32), np.float32)

    def field(self, points: Array) -> Array:
        """Distance to body, head and eyes, [n], for points [3, n] in the bird's frame."""
        fat = self.plumpness
        chest = self.along * np.float32(0.19) - self.dorsal * np.float32(0.015)
        belly = self.along * np.float32(-0.13) - self.dorsal * np.float32(0.015)
        trunk = cone(points, chest, belly, 0.236 * fat, 0.2 * fat)
        trunk = smooth_min(trunk, cone(points, belly, self.rump, 0.19 * fat, 0.07), 0.1)
        face = self.head + self.forward * np.float32(0.04)
        head = cone(points, self.head, face, 0.168, 0.148)
        snout = self.bill[0] + self.forward * np.float32(0.05)
        head = smooth_min(head, cone(points, face, snout, 0.12, 0.018), 0.05)
        return smooth_min(trunk, head, 0.17)

    def bill_field(self, points: Array) -> Array:
        """Distance to the bill, [n]."""
        root, middle, tip = self.bill
        return np.minimum(cone(points, root, middle, 0.028, 0.019), cone(points, middle, tip, 0.019, 0.009))


def make_anatomy(recipe: Recipe) -> Anatomy:
    """Set a bird's joints to its recipe's pose."""
    along, dorsal = _axes(recipe.body)
    forward, crownward = _axes(recipe.head)
    head = along * np.float32(0.47) + np.array([0.07, 0.06, 0], np.float32)
    root = head + forward * np.float32(0.13) - crownward * np.float32(0.022)
    reach = np.float32(recipe.bill)
    middle = root + forward * reach * np.float32(0.5)
    tip = root + forward * reach - crownward * np.float32(recipe.curve)
    tailward, _ = _axes(recipe.body + np.pi + recipe.tail)
    return Anatomy(
        along=along,
        dorsal=dorsal,
        forward=forward,
        crownward=crownward,
        head=head,
        bill=(root, middle, tip),
        rump=along * np.float32(-0.5) + dorsal * np.float32(0.045),
        tailward=tailward,
        shoulder=along * np.float32(0.2) + dorsal * np.float32(0.1),
        plumpness=recipe.plumpness,
        turn=_turn(recipe),
    )


def cone(points: Array, start: Vector, end: Vector, wide: float, narrow: float) -> Array:
    """Distance to a tapered rod with round ends, about right where its taper is slight, [n]."""
    axis = end - start
    away = points - start[:, None]
    share = np.clip((axis @ away) / (axis @ axis), 0, 1).astype(np.float32)
    away = away - axis[:, None] * share
    length = np.sqrt(away[0] * away[0] + away[1] * away[1] + away[2] * away[2])
    return np.asarray(length - np.float32(wide) - np.float32(narrow - wide) * share, np.float32)


def _axes(pitch: float) -> tuple[Vector, Vector]:
    c, s = np.cos(pitch), np.sin(pitch)
    return np.array([c, s, 0], np.float32), np.array([-s, c, 0], np.float32)


def _turn(recipe: Recipe) -> Array:
    """Roll about x, yaw about y so that positive shows the breast, and mirror to face left."""
    c, s = np.cos(recipe.yaw), np.sin(recipe.yaw)
    yaw = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    c, s = np.cos(recipe.roll), np.sin(recipe.roll)
    roll = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    mirror = np.diag([recipe.side, 1.0, 1.0])
    return np.asarray(mirror @ yaw @ roll, np.float32)
