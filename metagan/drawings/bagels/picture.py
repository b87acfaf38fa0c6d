"""A picture being made: for each ray what it hit, and how that looks under the light."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metagan.drawings.bagels.grains import Grains
from metagan.drawings.bagels.recipe import Recipe
from metagan.drawings.painting import encode, film, shrink, smoothstep, vignette
from metagan.drawings.tracing import Array, Field, ambient_occlusion, normalize, soft_shadow

FRAME = 1.45  # half the picture's width at the bagel, in bagel radii
DISTANCE = 6.5


@dataclass
class Surfaces:
    """What the rays hit, filled in from the table up.

    Attributes:
        origin: The camera, [3, 1].
        rays: Unit directions, [3, n].
        depth: How far each ray went, [n].
        normal: Unit normals there, [3, n].
        colour: The surface's own colour in linear light, [3, n].
        gloss: 0 for flour, 1 for glaze, [n].
        open: Share of the light that nothing small beside it takes away, [n].
        softness: How far light goes round the edge of the shade, as in bread and cheese, [n].
    """

    size_px: int
    origin: Array
    rays: Array
    depth: Array
    normal: Array
    colour: Array
    gloss: Array
    open: Array
    softness: Array
    axes: NDArray[np.float32]

    @property
    def points(self) -> Array:
        """Where the rays end, [3, n]."""
        return self.origin + self.rays * self.depth

    def project(self, points: Array) -> tuple[Array, Array]:
        """Picture column and row of points, [n] each, in pixels."""
        seen = self.axes @ (points - self.origin)
        scale = np.float32(self.size_px / 2 * DISTANCE / FRAME)
        middle = np.float32(self.size_px / 2 - 0.5)
        return middle + seen[0] / seen[2] * scale, middle - seen[1] / seen[2] * scale


def look(size_px: int, elevation: float, zoom: float, shift: tuple[float, float], height: float) -> Surfaces:
    """Aim the camera at the bagel from an angle above the table and make an empty picture of the table plane."""
    forward = np.array([0, np.cos(elevation), -np.sin(elevation)], np.float32)
    right = np.array([1, 0, 0], np.float32)
    up = np.cross(right, forward).astype(np.float32)
    target = np.array([shift[0], 0, height], np.float32) + up * np.float32(shift[1])
    origin = (target - forward * np.float32(DISTANCE / zoom))[:, None]
    step = (np.arange(size_px, dtype=np.float32) + 0.5) / size_px * 2 - 1
    x, y = np.meshgrid(step * (FRAME / DISTANCE), -step * (FRAME / DISTANCE))
    rays = normalize(forward[:, None] + right[:, None] * x.reshape(-1) + up[:, None] * y.reshape(-1))
    count = size_px * size_px
    normal = np.zeros((3, count), np.float32)
    normal[2] = 1
    return Surfaces(
        size_px=size_px,
        origin=origin,
        rays=rays,
        depth=np.asarray(-origin[2] / rays[2], np.float32),
        normal=normal,
        colour=np.zeros((3, count), np.float32),
        gloss=np.zeros(count, np.float32),
        open=np.ones(count, np.float32),
        softness=np.zeros(count, np.float32),
        axes=np.stack([right, up, forward]),
    )


def add_grains(surfaces: Surfaces, grains: Grains, light: Array) -> None:
    """Trace each grain in a window about it, nearest last so that it stays, and shade its foot."""
    column, row = surfaces.project(grains.centres)
    scale = surfaces.size_px / 2 / FRAME
    half = int(np.ceil(grains.sizes.max() * scale * 1.25)) + 1
    offset = np.arange(-half, half + 1)
    columns = np.rint(column).astype(np.int32)[:, None, None] + offset[None, None, :]
    rows = np.rint(row).astype(np.int32)[:, None, None] + offset[None, :, None]
    inside = (columns >= 0) & (columns < surfaces.size_px) & (rows >= 0) & (rows < surfaces.size_px)
    grain, _, _ = np.nonzero(inside)
    pixel = (rows * surfaces.size_px + columns)[inside].astype(np.intp)
    _shade_feet(surfaces, grains, grain, pixel, light)
    depth, normal = _meet(surfaces, grains, grain, pixel)
    seen = np.flatnonzero(depth < surfaces.depth[pixel] + 0.004)
    seen = seen[np.argsort(-depth[seen], kind="stable")]
    pixel, grain = pixel[seen], grain[seen]
    surfaces.depth[pixel] = depth[seen]
    surfaces.normal[:, pixel] = normal[:, seen]
    surfaces.colour[:, pixel] = grains.colours[:, grain]
    surfaces.gloss[pixel] = grains.gloss[grain]
    surfaces.softness[pixel] = 0.25
    surfaces.open[pixel] = 1


def _meet(
    surfaces: Surfaces, grains: Grains, grain: NDArray[np.intp], pixel: NDArray[np.intp]
) -> tuple[Array, Array]:
    """Where rays meet ellipsoids: depth (inf for a miss), [m], and the normal there, [3, m]."""
    squeeze = grains.axes / grains.sizes[:, :, None]  # [n, 3, 3]: space to unit sphere
    start = np.einsum("nij,jn->in", squeeze, surfaces.origin - grains.centres)[:, grain]
    rays, rows = surfaces.rays[:, pixel], squeeze.transpose(1, 2, 0)
    going = np.stack([(row[:, grain] * rays).sum(0) for row in rows])
    a, b, c = (going * going).sum(0), (start * going).sum(0), (start * start).sum(0) - 1
    square = b * b - a * c
    depth = np.where(square > 0, (-b - np.sqrt(np.maximum(square, 0))) / a, np.inf).astype(np.float32)
    there = start + going * np.where(np.isfinite(depth), depth, 0)
    return depth, normalize((rows[:, :, grain] * there[:, None]).sum(0))


def _shade_feet(
    surfaces: Surfaces, grains: Grains, grain: NDArray[np.intp], pixel: NDArray[np.intp], light: Array
) -> None:
    """Darken the surface about each grain, a little more on the side away from the light."""
    size = grains.sizes[grain].T
    lean = grains.centres[:, grain] - light[:, None] * size[2] * np.float32(0.8)
    away = surfaces.origin + surfaces.rays[:, pixel] * surfaces.depth[pixel] - lean
    reach = (size[0] + size[1]) * np.float32(0.5)
    near = (away * away).sum(0) / (reach * reach)
    shade = (1 - np.float32(0.5) * np.exp(-near * np.float32(1.1))).astype(np.float32)
    np.minimum.at(surfaces.open, pixel, shade)


# --------------------------------------------------------------------------------------------
# Light on the surfaces: a soft key, the sky's fill, light off the table, and film.


def shade(surfaces: Surfaces, recipe: Recipe, field: Field, top: float) -> Array:
    """Light leaving every surface towards the camera, [3, n]; nothing reaches above top."""
    points, normal, light = surfaces.points, surfaces.normal, recipe.light
    lifted = points + normal * np.float32(0.012)
    lit = soft_shadow(field, lifted, light, 0.22, top) * surfaces.open
    open_ = ambient_occlusion(field, points, normal) * (0.35 + 0.65 * surfaces.open)
    facing = (normal * light[:, None]).sum(0)
    wrap = surfaces.softness
    diffuse = np.clip((facing + wrap * 0.5) / (1 + wrap * 0.5), 0, None) * lit
    sun = np.array([1.0, 0.93, 0.82], np.float32)
    sun = sun + np.array([0.04, 0, -0.06], np.float32) * np.float32(recipe.warmth)
    sky = np.array([0.86, 0.93, 1.0], np.float32) * recipe.ambience
    bounce = np.array([1.0, 0.8, 0.6], np.float32) * 0.32
    up = (0.5 + 0.5 * normal[2]) * open_
    light_in = sun[:, None] * diffuse * 1.9 + sky[:, None] * up * 0.62
    light_in = light_in + bounce[:, None] * ((0.5 - 0.5 * normal[2]) * (0.4 + 0.6 * open_))
    glow = wrap * smoothstep(0.35, -0.15, facing) * smoothstep(-0.6, 0.1, facing) * lit
    light_in = light_in + np.array([0.5, 0.2, 0.06], np.float32)[:, None] * glow
    return np.asarray(surfaces.colour * light_in + _shine(surfaces, light, lit, open_), np.float32)


def _shine(surfaces: Surfaces, light: Array, lit: Array, open_: Array) -> Array:
    """Reflection of a wide soft light and a bright room, after Schlick 1994's Fresnel term, [n]."""
    normal, rays = surfaces.normal, surfaces.rays
    cosine = -(normal * rays).sum(0)
    mirrored = rays + 2 * cosine * normal
    toward = (mirrored * light[:, None]).sum(0)
    fresnel = 0.04 + 0.96 * np.clip(1 - cosine, 0, 1) ** 5
    key = smoothstep(0.62, 0.99, toward) ** 2 * 7.0 * (0.3 + 0.7 * lit)
    room = smoothstep(-0.1, 0.9, mirrored[2]) * 0.28
    return np.asarray(surfaces.gloss * np.minimum(fresnel, 0.45) * (key + room) * open_, np.float32)


def develop(light: Array, size_px: int, factor: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Expose, average rays into pixels, and turn light into bytes, [size/factor, size/factor, 3]."""
    exposure = np.float32(rng.uniform(0.62, 0.74)) * vignette(size_px, 0.13)
    picture = light.reshape(3, size_px, size_px).transpose(1, 2, 0) * exposure[:, :, None]
    return encode(shrink(film(picture), factor))
