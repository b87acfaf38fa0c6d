"""Light on a picture's surfaces: a soft key, the sky's fill, light off the table, and film."""

import numpy as np
from numpy.typing import NDArray

from metagan.drawings.bagels.picture import Surfaces
from metagan.drawings.bagels.recipe import Recipe
from metagan.drawings.painting import Array, encode, film, shrink, smoothstep, vignette
from metagan.drawings.tracing import Field, ambient_occlusion, soft_shadow


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
