"""Seeds and flakes as little ellipsoids, traced into the picture one small window each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metagan.drawings.painting import linear
from metagan.drawings.tracing import Array, Field, normalize, normals


@dataclass(frozen=True)
class Kind:
    """One kind of grain.

    Attributes:
        count: How many fall on a bagel.
        size: Half axes: length, width, thickness, in bagel radii.
        colours: sRGB colours to draw between.
        sunk: How deep it sits, as a share of its thickness.
        gloss: How much it shines.
    """

    count: int
    size: tuple[float, float, float]
    colours: tuple[tuple[int, int, int], ...]
    sunk: float = 0.2
    gloss: float = 0.3


SESAME = Kind(330, (0.046, 0.027, 0.014), ((250, 232, 192), (240, 214, 164), (225, 190, 130)))
POPPY = Kind(620, (0.019, 0.018, 0.016), ((30, 32, 42), (48, 50, 62), (22, 20, 26)))
SALT = Kind(260, (0.026, 0.022, 0.017), ((255, 255, 255), (244, 244, 240)), 0.1, 1.0)
ONION = Kind(70, (0.062, 0.04, 0.011), ((196, 132, 62), (150, 88, 36), (226, 184, 120)))
GARLIC = Kind(80, (0.036, 0.028, 0.018), ((244, 222, 166), (228, 190, 120), (200, 150, 80)))
RAISIN = Kind(26, (0.075, 0.058, 0.05), ((52, 26, 22), (74, 38, 28), (40, 18, 20)), 0.75, 0.8)
CHIVES = Kind(90, (0.036, 0.02, 0.016), ((76, 140, 48), (104, 168, 70), (52, 110, 40)), 0.1, 0.4)
CAPERS = Kind(13, (0.05, 0.046, 0.044), ((92, 104, 44), (70, 84, 36)), 0.3, 0.6)

MIXES: dict[str, tuple[tuple[Kind, float], ...]] = {
    "plain": (),
    "sesame": ((SESAME, 1.0),),
    "poppy": ((POPPY, 1.0),),
    "everything": ((SESAME, 0.42), (POPPY, 0.45), (ONION, 1.0), (GARLIC, 1.0), (SALT, 0.25)),
    "salt": ((SALT, 1.0),),
    "cinnamon raisin": ((RAISIN, 1.0),),
    "chives": ((CHIVES, 1.0),),
    "capers and chives": ((CAPERS, 1.0), (CHIVES, 0.5)),
}


@dataclass(frozen=True)
class Grains:
    """Grains in place: n ellipsoids.

    Attributes:
        centres: [3, n].
        axes: Rows are unit half-axis directions, [n, 3, 3].
        sizes: Half axes' lengths, [n, 3].
        colours: Linear light, [3, n].
        gloss: [n].
    """

    centres: Array
    axes: NDArray[np.float32]
    sizes: NDArray[np.float32]
    colours: Array
    gloss: Array


def strew(rng: np.random.Generator, kind: Kind, share: float, starts: Array, on: Field) -> Grains:
    """Drop a share of a kind's grains from random starts, [3, many], onto a surface below, lying flat."""
    count = max(1, int(kind.count * share * rng.uniform(0.6, 1.15)))
    points = starts[:, rng.integers(starts.shape[1], size=count)]
    for _ in range(4):
        points = points - normals(on, points) * on(points) * np.float32(1.15)
    up = normals(on, points)
    size = np.array(kind.size, np.float32) * rng.normal(1, 0.17, (count, 3)).clip(0.55, 1.5).astype(
        np.float32
    )
    loose = normalize(rng.standard_normal((3, count), np.float32))
    up = normalize(up + loose * np.float32(0.22))
    along = normalize(np.cross(loose, up, axis=0).astype(np.float32))
    aside = np.cross(up, along, axis=0).astype(np.float32)
    palette = np.array([linear(colour) for colour in kind.colours])
    mixing = rng.dirichlet(np.full(len(palette), 0.8), count).astype(np.float32)
    return Grains(
        centres=points + up * (size[:, 2] * np.float32(1 - 2 * kind.sunk)),
        axes=np.stack([along.T, aside.T, up.T], 1),
        sizes=size,
        colours=(mixing @ palette).T,
        gloss=np.full(count, kind.gloss, np.float32),
    )


def ring_starts(
    rng: np.random.Generator, ring: float, tube: float, height: float, spread: float, count: int = 2000
) -> Array:
    """Points over a torus, most of them about its crown, [3, count]."""
    angle = rng.uniform(0, 2 * np.pi, count)
    slope = rng.normal(np.pi / 2 - 0.15, spread, count).clip(-0.1, np.pi + 0.1)
    rho = ring + tube * np.cos(slope)
    return np.stack([rho * np.cos(angle), rho * np.sin(angle), height + tube * np.sin(slope)]).astype(
        np.float32
    )
