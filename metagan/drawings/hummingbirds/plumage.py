"""How the bird's surface looks: feathers, iridescence, eye and bill."""

from dataclasses import dataclass

import numpy as np

from metagan.drawings.hummingbirds.anatomy import Anatomy
from metagan.drawings.hummingbirds.recipe import Colour, Recipe
from metagan.drawings.painting import Array, blend, fractal, linear, noise, smoothstep
from metagan.drawings.tracing import ambient_occlusion, normalize


@dataclass(frozen=True)
class Places:
    """Points of the body by what they are near, [n] each, in the bird's frame.

    Attributes:
        up: Sine of the angle from the flank to the back: 1 on the spine, -1 on the belly's midline.
        along: Along the body from its middle, towards the neck.
        ahead: Along the head from its middle, towards the bill.
        above: Over the head's middle, towards the crown.
    """

    up: Array
    along: Array
    ahead: Array
    above: Array


def find_places(bird: Anatomy, points: Array) -> Places:
    """Measure points, [3, n] in the bird's frame, against its joints."""
    dorsal = bird.dorsal @ points
    away = points - bird.head[:, None]
    return Places(
        up=np.asarray(dorsal / np.sqrt(dorsal**2 + points[2] ** 2 + 1e-6), np.float32),
        along=bird.along @ points,
        ahead=bird.forward @ away,
        above=bird.crownward @ away,
    )


def paint_body(recipe: Recipe, bird: Anatomy, lattice: Array, points: Array, normal: Array) -> Array:
    """Light from the body towards the viewer, [3, n], for points and normals in the picture's frame."""
    own = bird.turn.T @ points
    places = find_places(bird, own)
    ruffled = _ruffle(bird, lattice, own, places, normal)
    colour, shimmer = _colours(recipe, bird, lattice, own, places, ruffled)
    open_ = ambient_occlusion(lambda p: bird.field(bird.turn.T @ p), points, normal, 0.3)
    light = light_feathers(recipe, colour, ruffled, open_)
    light = light + shimmer * (0.45 + 0.55 * open_)
    return _add_eyes(recipe, bird, own, light)


def light_feathers(recipe: Recipe, colour: Array, normal: Array, open_: Array) -> Array:
    """Sun, sky and light off the leaves on a soft matt surface, [3, n]."""
    facing = (normal * recipe.light[:, None]).sum(0)
    sun = np.array([1.0, 0.95, 0.86], np.float32) + np.array([0.06, 0, -0.08], np.float32) * np.float32(
        recipe.warmth
    )
    sky = np.array([0.84, 0.94, 1.0], np.float32)
    leaf = np.array([0.62, 0.72, 0.42], np.float32)
    key = np.clip((facing + 0.3) / 1.3, 0, None) * (0.35 + 0.65 * open_)
    up = 0.5 + 0.5 * normal[1]
    rim = np.clip(1 - normal[2], 0, 1) ** 3 * up
    total = sun[:, None] * (key * 1.55) + sky[:, None] * (up * open_ * 0.52 + rim * 0.5)
    return np.asarray(colour * (total + leaf[:, None] * ((1 - up) * 0.4 * (0.3 + 0.7 * open_))), np.float32)


def _ruffle(bird: Anatomy, lattice: Array, own: Array, places: Places, normal: Array) -> Array:
    """Tilt normals as overlapping feathers do: scales on the throat, finer and longer barbs elsewhere."""
    grain = np.stack([places.along * 12, bird.dorsal @ own * 34, own[2] * 34]).astype(np.float32)
    barbs = np.stack([fractal(lattice, grain + np.float32(11 * k), 2) - np.float32(0.5) for k in range(3)])
    return normalize(normal + barbs * np.float32(0.6))


def iridescent(
    colours: tuple[Colour, Colour], recipe: Recipe, normal: Array, width: float
) -> tuple[Array, Array]:
    """Interference colour: bright where the surface mirrors sun to viewer, its hue turning with the slant.

    Returns the pigment's dark ground and the light added over it, [3, n] each.
    """
    halfway = normalize(recipe.light + np.array([0, 0, 1], np.float32))
    glance = np.clip((normal * halfway[:, None]).sum(0), 0, 1)
    straight, slant = linear(colours[0]), linear(colours[1])
    hue = blend(slant[:, None], straight[:, None], smoothstep(0.45, 0.9, glance))
    strength = np.float32(0.05) + np.float32(1.35) * smoothstep(1 - width, 1.02, glance) ** np.float32(2.6)
    ground = (straight * np.float32(0.22) + np.float32(0.008))[:, None] * np.ones_like(glance)
    return np.asarray(ground, np.float32), np.asarray(hue * strength, np.float32)


def _colours(
    recipe: Recipe, bird: Anatomy, lattice: Array, own: Array, places: Places, normal: Array
) -> tuple[Array, Array]:
    """Pigment and iridescent light by region, [3, n] each."""
    kind = recipe.plumage
    fray = (noise(lattice, own * np.float32(19)) - np.float32(0.5)) * np.float32(0.22)
    fray = fray + (fractal(lattice, own * np.float32(5), 2) - np.float32(0.5)) * np.float32(0.3)
    streaks = noise(lattice, np.stack([places.along * 13, places.up * 9, own[2] * 30])) - np.float32(0.5)
    head = smoothstep(0.3, 0.4, places.along + fray * 0.2)
    belly = smoothstep(0.28, 0.12, places.along + fray * 0.3)
    plain = blend(linear(kind.breast)[:, None], linear(kind.belly)[:, None], belly)
    flank = smoothstep(-0.62, -0.2, places.up + fray)
    plain = blend(plain, linear(kind.flank)[:, None], flank * (1 - head) * 0.85)
    back, back_glow = iridescent(kind.back, recipe, normal, 0.75)
    crown, crown_glow = iridescent(kind.crown, recipe, normal, 0.75)
    back, back_glow = blend(back * 1.7, crown * 1.7, head), blend(back_glow * 0.5, crown_glow * 0.62, head)
    upper = np.maximum(
        smoothstep(-0.14, 0.14, places.up + fray) * (1 - head),
        smoothstep(-0.085, -0.035, places.above + fray * 0.1) * head,
    )
    colour, shimmer = blend(plain, back, upper), back_glow * upper
    scallops = np.float32(1) + np.float32(0.55) * streaks
    colour, shimmer = colour * scallops, shimmer * scallops
    throat = _throat(places, fray)
    pigment, glow = iridescent(kind.throat, recipe, normal, 0.62)
    glow = glow * _scales(lattice, places, own)
    colour, shimmer = blend(colour, pigment, throat), blend(shimmer, glow * np.float32(1.05), throat)
    return _mark_face(recipe, bird, own, places, colour, shimmer)


def _scales(lattice: Array, places: Places, own: Array) -> Array:
    """Little rounded feathers in rows, each bright in its middle, [n]."""
    a, b = places.ahead * np.float32(52), (places.above + own[2]) * np.float32(40)
    rows = np.sin(a + b) * np.sin(a - b)
    glitter = noise(lattice, own * np.float32(31)) + noise(lattice, own * np.float32(9)) - np.float32(1)
    return np.asarray(np.float32(0.9) + np.float32(0.35) * rows + np.float32(1.1) * glitter, np.float32).clip(
        0.1
    )


def _throat(places: Places, fray: Array) -> Array:
    """Where the gorget is: below the line from the bill past the eye, down to the top of the breast."""
    below = smoothstep(0.016, -0.012, places.above + np.float32(0.052) + fray * 0.1)
    front = smoothstep(0.27, 0.33, places.along - places.up * 0.05 + fray * 0.2)
    side = smoothstep(0.42, 0.1, places.up + fray)
    return np.asarray(below * front * side, np.float32)


def _mark_face(
    recipe: Recipe, bird: Anatomy, own: Array, places: Places, colour: Array, shimmer: Array
) -> tuple[Array, Array]:
    """Dark lores, the ear patch, and the pale spot behind the eye."""
    eye = bird.eye(1)
    lateral = np.abs(own[2])
    reach = places.ahead - bird.forward @ (eye - bird.head)
    rise = places.above - bird.crownward @ (eye - bird.head)
    lores = np.exp(-(((reach - 0.06) / 0.06) ** 2 + ((rise + 0.025) / 0.028) ** 2)) * (lateral > 0.03)
    colour, shimmer = colour * (1 - 0.75 * lores), shimmer * (1 - 0.85 * lores)
    if recipe.plumage.ear is not None:
        ear = np.exp(-((((reach + 0.1) / 0.085) ** 2 + ((rise + 0.035) / 0.06) ** 2) ** 2))
        colour = blend(colour, linear(recipe.plumage.ear)[:, None] * 0.5, ear)
        shimmer = blend(shimmer, linear(recipe.plumage.ear)[:, None] * 0.6, ear)
    spot = np.exp(-((((reach + 0.062) / 0.02) ** 2 + ((rise - 0.002) / 0.017) ** 2) ** 2)) * (lateral > 0.05)
    pale = np.array([[0.85], [0.83], [0.78]], np.float32)
    colour = blend(np.asarray(colour, np.float32), pale, np.asarray(spot * 0.8, np.float32))
    return colour, np.asarray(shimmer * (1 - spot), np.float32)


def _add_eyes(recipe: Recipe, bird: Anatomy, own: Array, light: Array) -> Array:
    """A round dark eye in a thin shaded ring, with the sun and the sky in it."""
    for side in (1, -1):
        away = own - bird.eye(side)[:, None]
        across, rise = bird.forward @ away, bird.crownward @ away
        hidden = np.where(own[2] * side > 0, 0, 9).astype(np.float32)
        distance = np.sqrt(across**2 + rise**2) + hidden
        light = blend(light, light * np.float32(0.45), smoothstep(0.062, 0.054, distance))
        dark = np.array([[0.008], [0.006], [0.006]], np.float32) + np.clip(rise, 0, 0.05)
        light = blend(light, dark, smoothstep(0.05, 0.043, distance))
        aside = across - recipe.light[0] * np.float32(recipe.side * 0.018)
        glint = np.asarray(np.hypot(aside, rise - np.float32(0.017)) + hidden, np.float32)
        light = blend(light, np.full((3, 1), 0.95, np.float32), smoothstep(0.019, 0.008, glint))
    return light


def paint_bill(recipe: Recipe, bird: Anatomy, points: Array, normal: Array) -> Array:
    """Dark horn with a soft shine; a coloured bill darkens to its tip."""
    own = bird.turn.T @ points
    share = np.asarray(bird.forward @ (own - bird.bill[0][:, None]) / recipe.bill, np.float32)
    dark = linear((30, 27, 28))
    colour = blend(linear(recipe.plumage.bill)[:, None], dark[:, None], smoothstep(0.5, 0.85, share))
    light = light_feathers(recipe, colour, normal, np.ones(points.shape[1], np.float32))
    halfway = normalize(recipe.light + np.array([0, 0, 1], np.float32))
    shine = np.clip((normal * halfway[:, None]).sum(0), 0, 1) ** 24
    return np.asarray(light + np.float32(0.25) * shine, np.float32)
