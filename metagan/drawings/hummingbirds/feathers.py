"""Wings and tail: fans of flat feathers, drawn as polygons; wings many times over while the shutter is open."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from metagan.drawings.hummingbirds.anatomy import Anatomy, Vector
from metagan.drawings.hummingbirds.canvas import Canvas
from metagan.drawings.hummingbirds.recipe import Colour, Recipe
from metagan.drawings.painting import Array, linear
from metagan.drawings.tracing import normalize

FRAMES = 14  # pictures of a wing averaged into its blur
DUSKY: Colour = (112, 101, 100)
LINEAR = linear([*range(256)])


@dataclass(frozen=True)
class Feather:
    """One feather in the plane of its wing or tail; x runs along the span, y towards the trailing edge."""

    base: tuple[float, float]
    angle: float
    length: float
    width: float
    bow: float
    colour: Colour


def wing_feathers(rng: np.random.Generator, recipe: Recipe) -> list[Feather]:
    """Six secondaries, ten primaries and two rows of coverts, in the order they are drawn."""
    tone, close = rng.normal(-18 if recipe.perched else 0, 6), 0.27 if recipe.perched else 1.0
    feathers = []
    for share in np.linspace(0, 1, 6):
        base = (0.02 + 0.15 * share, 0.01)
        angle = np.radians(98 - 24 * share) * close
        feathers.append(Feather(base, angle, 0.36 + 0.05 * share, 0.066, 0.0, _tint(rng, DUSKY, tone)))
    for share in np.linspace(0, 1, 10):
        angle, length = np.radians(66 - 60 * share**0.85) * close, 0.46 + 0.6 * share**0.9
        base = (0.16 + 0.03 * share, 0.015 - 0.015 * share)
        bow = (-0.06 + 0.09 * (close < 1)) * share
        feathers.append(
            Feather(base, angle, length, 0.074 - 0.022 * share, bow, _tint(rng, DUSKY, tone - 9 * share))
        )
    return feathers + _coverts(rng, recipe, close)


def _coverts(rng: np.random.Generator, recipe: Recipe, close: float) -> list[Feather]:
    """Short round feathers over the long ones' roots, in the back's colour."""
    r, g, b = recipe.plumage.back[0]
    shade: Colour = (int(r * 0.72), int(g * 0.72), int(b * 0.72))
    feathers = []
    for length, reach in ((0.15, 0.25), (0.1, 0.21)):
        for share in np.linspace(0, 1, 8):
            angle = np.radians(92 - 74 * share) * (1 + close) / 2
            base = (reach * share, -0.012 - 0.01 * share)
            feathers.append(Feather(base, angle, length, 0.045, 0.0, _tint(rng, shade, 0)))
    return feathers


def tail_feathers(rng: np.random.Generator, recipe: Recipe) -> list[Feather]:
    """Five pairs, the outer ones first, under the middle ones."""
    feathers = []
    kind = recipe.plumage
    for k in range(5):
        share = 1 - k / 4
        for side in (-1, 1):
            angle = side * recipe.fan * share
            colour = kind.tail if k < 4 else _tint(rng, kind.tail, 14)
            feathers.append(
                Feather(
                    (0.0, side * 0.025 * share),
                    angle,
                    0.6 - 0.07 * (1 - share),
                    0.058,
                    0.0,
                    _tint(rng, colour, 0),
                )
            )
    return feathers


def _tint(rng: np.random.Generator, colour: Colour, by: float) -> Colour:
    shift = by + rng.normal(0, 5)
    r, g, b = (int(np.clip(channel + shift, 0, 255)) for channel in colour)
    return r, g, b


def outline(feather: Feather) -> Array:
    """A feather's outline in its plane, [2, n]: parallel sides and a rounded tip."""
    share = np.linspace(0, 1, 8)
    width = feather.width * np.sqrt(np.clip(np.minimum(share * 5, 1) * (1 - share**5), 0.0, 1))
    bend = feather.bow * np.sin(np.pi * share)
    along = np.concatenate([share, share[::-1]]) * feather.length
    across = np.concatenate([bend + width, (bend - width)[::-1]])
    c, s = np.cos(feather.angle), np.sin(feather.angle)
    x = feather.base[0] + along * c - across * s
    y = feather.base[1] + along * s + across * c
    return np.stack([x, y]).astype(np.float32)


@dataclass(frozen=True)
class Plane:
    """Where a wing's or tail's plane lies in the bird's frame; camber bends it along its length."""

    root: Vector
    span: Vector
    chord: Vector
    camber: float

    def place(self, flat: Array) -> Array:
        """Points of the plane, [2, n], in the bird's frame, [3, n]."""
        normal = np.cross(self.span, self.chord).astype(np.float32)
        bend = np.float32(self.camber) * flat[0] ** 2
        return np.asarray(
            self.root[:, None]
            + self.span[:, None] * flat[0]
            + self.chord[:, None] * flat[1]
            + normal[:, None] * bend,
            np.float32,
        )


def wing_plane(recipe: Recipe, bird: Anatomy, side: int, swing: float) -> Plane:
    """A wing's plane on the right (1) or left (-1), swung about the body by an angle from its middle."""
    root = bird.shoulder + np.array([0, 0, side * 0.13], np.float32)
    if recipe.perched:
        span = normalize(
            -bird.along + bird.dorsal * np.float32(0.06) + np.array([0, 0, side * 0.02], np.float32)
        )
        chord = normalize(-bird.dorsal + np.array([0, 0, side * 0.25], np.float32))
        return Plane(root, span, chord, 0.0)
    angle = recipe.stroke + swing
    upright = -bird.along * np.float32(np.cos(angle)) + bird.dorsal * np.float32(np.sin(angle))
    out = np.array([0, 0, side], np.float32)
    spread = np.float32(recipe.spread)
    span = normalize(upright * np.sqrt(1 - spread**2) + out * spread)
    back = -bird.along * np.float32(0.85) - bird.dorsal * np.float32(0.35 * np.sin(angle))
    chord = normalize(back - span * (back @ span))
    return Plane(root, span, chord, -0.09 * side)


def tail_plane(bird: Anatomy) -> Plane:
    """The tail's plane: across the body, seen at a slant from the side."""
    chord = normalize(np.array([0, 0, 1], np.float32) * np.float32(0.8) + bird.dorsal * np.float32(0.6))
    root = bird.rump - bird.tailward * np.float32(0.06)
    return Plane(root, bird.tailward, chord, 0.0)


def add_wing(canvas: Canvas, recipe: Recipe, bird: Anatomy, feathers: list[Feather], side: int) -> None:
    """Draw a wing as its blur: frames over the sweep, slowest and so densest at the stroke's end."""
    if recipe.perched:
        _add_fans(canvas, recipe, bird, feathers, [wing_plane(recipe, bird, side, 0.0)], 1.0)
        return
    far = side != bird.near
    rest = recipe.parting if far else -0.2 * recipe.parting
    swings = recipe.sweep * np.sin(np.linspace(-np.pi / 2, np.pi / 2 * 0.75, FRAMES)) + rest
    planes = [wing_plane(recipe, bird, side, float(swing)) for swing in swings]
    _add_fans(canvas, recipe, bird, feathers, planes, 0.72 if far else 0.88)


def add_tail(canvas: Canvas, recipe: Recipe, bird: Anatomy, feathers: list[Feather]) -> None:
    """Draw the tail."""
    _add_fans(canvas, recipe, bird, feathers, [tail_plane(bird)], 1.0)


def _add_fans(
    canvas: Canvas,
    recipe: Recipe,
    bird: Anatomy,
    feathers: list[Feather],
    planes: list[Plane],
    opacity: float,
) -> None:
    """Lay the mean of a fan's pictures over the canvas; one alone is drawn larger and shrunk, for its edges."""
    flat = np.stack([outline(feather) for feather in feathers], 1)  # [2, feathers, corners]
    fans = [
        canvas.project(bird.turn @ plane.place(flat.reshape(2, -1))).reshape(flat.shape) for plane in planes
    ]
    every = np.concatenate([fan.reshape(2, -1) for fan in fans], 1)
    low = np.clip(np.floor(every.min(1)) - 2, 0, canvas.size_px).astype(int)
    high = np.clip(np.ceil(every.max(1)) + 3, 0, canvas.size_px).astype(int)
    size = (high - low).clip(1)
    fine = 2 if len(planes) == 1 else 1
    total = np.zeros((size[1], size[0], 4), np.float32)
    for fan, plane in zip(fans, planes, strict=True):
        normal = bird.turn @ np.cross(plane.span, plane.chord).astype(np.float32)
        shade = 0.72 + 0.5 * abs(float(normal @ recipe.light))
        corners = (fan - low[:, None, None].astype(np.float32)) * fine
        total += _draw_fan(feathers, corners, (int(size[0]), int(size[1])), shade, fine)
    total /= len(planes)
    cover = total[:, :, 3] / 255
    colour = total[:, :, :3] / np.maximum(cover[:, :, None], np.float32(1e-3))
    light = LINEAR[np.clip(colour, 0, 255).astype(np.uint8)].transpose(2, 0, 1)
    canvas.add_layer(light, np.asarray(cover * np.float32(opacity), np.float32), int(low[1]), int(low[0]))


def _draw_fan(
    feathers: list[Feather], corners: Array, size: tuple[int, int], shade: float, fine: int
) -> Array:
    """One sharp picture of a fan: sRGB weighted by cover, and cover of 0 to 255, [height, width, 4]."""
    picture = Image.new("RGBA", (size[0] * fine, size[1] * fine))
    pen = ImageDraw.Draw(picture)
    half = corners.shape[2] // 2
    for number, feather in enumerate(feathers):
        edge = corners[:, number]
        front, back = edge[:, :half], edge[:, half:]
        tones = [
            tuple(int(min(c * shade * tone, 255)) for c in feather.colour) for tone in (1.06, 0.86, 0.72)
        ]
        pen.polygon(_corners(edge), fill=tones[0])
        pen.polygon(_corners(np.concatenate([(front + back[:, ::-1]) / 2, back], 1)), fill=tones[1])
        pen.line(_corners(back), fill=tones[2], width=fine)
    if fine > 1:
        picture = picture.reduce(fine)
    pixels = np.asarray(picture).astype(np.float32)
    pixels[:, :, :3] *= pixels[:, :, 3:] / np.float32(255)
    return pixels


def _corners(points: Array) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points.T.tolist()]
