"""Sphere tracing of signed distance fields, vectorised over rays.

Hart 1996, "Sphere tracing: a geometric method for the antialiased ray tracing of implicit surfaces";
soft shadows and ambient occlusion sampled from the field, after Evans 2006, "Fast approximations for
global illumination on dynamic scenes". Points and directions are component-first, [3, n], in float32: one
component is then one contiguous row, which is what numpy is quick at.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Field = Callable[[Array], Array]


def trace(field: Field, origin: Array, rays: Array, near: Array, far: Array, steps: int = 28) -> Array:
    """Find how far each ray goes before it meets the field's zero set; inf where it does not.

    Args:
        field: The signed distance field.
        origin: Where rays start, [3, 1] or [3, n].
        rays: Unit directions, [3, n].
        near: Where to begin along each ray, [n].
        far: Where to give up along each ray, [n].
        steps: How many steps to take at most; rays still on their way then count as having met it.
    """
    origin = np.broadcast_to(origin, rays.shape)
    reached = np.full(rays.shape[1], np.inf, np.float32)
    active = np.flatnonzero(near < far)
    t = near[active]
    for _ in range(steps):
        if not active.size:
            break
        distance = field(origin[:, active] + rays[:, active] * t)
        t = t + distance
        hit = distance < 0.0025
        reached[active[hit]] = t[hit]
        going = ~hit & (t < far[active])
        active, t = active[going], t[going]
    reached[active] = t  # still creeping along a grazed edge: close enough
    return reached


def normals(field: Field, points: Array, step: float = 0.006) -> Array:
    """Unit normals of the field's level sets at points, [3, n], by differences at a tetrahedron's corners."""
    corners = ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1))
    total = np.zeros_like(points)
    for corner in corners:
        offset = np.array(corner, np.float32)[:, None]
        total += offset * field(points + offset * np.float32(step))
    return normalize(total)


def soft_shadow(
    field: Field, points: Array, light: Array, softness: float, top: float, steps: int = 13
) -> Array:
    """How much of the light reaches each point, from 0 to 1, [n].

    Args:
        field: What throws shadows.
        points: Where to look from, [3, n].
        light: Unit direction to the light, [3]; it stands over the horizon.
        softness: The light's angular radius.
        top: Height, z, that nothing of the field reaches.
        steps: How many steps to take at most.
    """
    far = (np.float32(top) - points[2]) / light[2]
    lit = np.ones(points.shape[1], np.float32)
    t = np.full(points.shape[1], 0.03, np.float32)
    active = np.arange(points.shape[1])
    for _ in range(steps):
        distance = field(points[:, active] + light[:, None] * t)
        lit[active] = np.minimum(lit[active], 0.5 + 0.5 * distance / (softness * t))
        t = t + np.clip(distance, 0.035, 0.3)
        going = (lit[active] > 0) & (t < far[active])
        active, t = active[going], t[going]
        if not active.size:
            break
    lit = np.clip(lit, 0, 1)
    return lit * lit * (3 - 2 * lit)


def ambient_occlusion(field: Field, points: Array, normal: Array, reach: float = 0.45) -> Array:
    """How open each point is to the sky about its normal, from 0 to 1, [n]."""
    closed = np.zeros(points.shape[1], np.float32)
    for fraction, weight in ((0.12, 0.35), (0.3, 0.3), (0.6, 0.2), (1.0, 0.15)):
        height = np.float32(reach * fraction)
        closed += weight * np.clip(1 - field(points + normal * height) / height, 0, 1)
    return np.clip(1 - closed, 0, 1)


def normalize(vectors: NDArray[np.floating[Any]]) -> Array:
    """Scale vectors, [3, n] or [3], to unit length."""
    length = np.sqrt(np.maximum((vectors * vectors).sum(0), 1e-12))
    return np.asarray(vectors / length, np.float32)


def smooth_min(a: Array, b: Array, width: float) -> Array:
    """The union of two fields, rounded over a width."""
    h = np.clip(width - np.abs(a - b), 0, None) / width
    return np.asarray(np.minimum(a, b) - h * h * (width / 4), np.float32)


def smooth_max(a: Array, b: Array, width: float) -> Array:
    """The intersection of two fields, rounded over a width."""
    return -smooth_min(-a, -b, width)
