"""What a drawn bagel is: its traits with their probabilities, and the numbers that follow from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metagan.drawings.painting import choose

SERVINGS = {"whole": 0.62, "sandwich": 0.24, "open half": 0.14}
CRUSTS = {"pale": 0.16, "golden": 0.42, "brown": 0.28, "dark": 0.14}
TOPPINGS = {
    "plain": 0.2,
    "sesame": 0.28,
    "poppy": 0.16,
    "everything": 0.2,
    "salt": 0.06,
    "cinnamon raisin": 0.1,
}
SANDWICHES = {
    "cream cheese": 0.34,
    "salmon and cream cheese": 0.28,
    "lettuce and tomato": 0.22,
    "egg and cheese": 0.16,
}
GARNISHES = {"cream cheese": "chives", "salmon and cream cheese": "capers and chives"}
SPREADS = {"cream cheese": 0.5, "salmon and cream cheese": 0.5}
STANDS = {"plate": 0.42, "wooden board": 0.3, "table": 0.28}
TABLES = {"oak": 0.26, "walnut": 0.2, "marble": 0.2, "linen": 0.2, "slate": 0.14}

BROWNING = {"pale": 0.2, "golden": 0.37, "brown": 0.53, "dark": 0.63}


@dataclass(frozen=True)
class Recipe:
    """One bagel and its scene; lengths are in bagel radii, angles in radians.

    Attributes:
        waves: Amplitudes of the ring's deviations from a circle, [4, 2, 2]: harmonic (1 to 4), cosine and
            sine, ring radius and tube radius.
        light: Unit direction to the key light.
    """

    traits: dict[str, str]
    ring: float
    tube: float
    tallness: float
    stretch: float
    waves: NDArray[np.float32]
    seam: float
    seam_depth: float
    browning: float
    elevation: float
    turn: float
    zoom: float
    shift: tuple[float, float]
    light: NDArray[np.float32]
    warmth: float
    ambience: float


def draw_recipe(rng: np.random.Generator) -> Recipe:
    """Draw a bagel's traits, shape, view and light."""
    traits = draw_traits(rng)
    tube = float(rng.uniform(0.355, 0.41))
    return Recipe(
        traits=traits,
        ring=1 - tube,
        tube=tube,
        tallness=float(rng.uniform(0.84, 0.98)),
        stretch=float(rng.normal(1, 0.025)),
        waves=draw_waves(rng),
        seam=float(rng.uniform(0, 2 * np.pi)),
        seam_depth=float(rng.choice([0, 1], p=[0.5, 0.5]) * rng.uniform(0.015, 0.05)),
        browning=BROWNING[traits["crust"]] + float(rng.normal(0, 0.035)),
        elevation=draw_elevation(rng, traits["serving"]),
        turn=float(rng.uniform(0, 2 * np.pi)),
        zoom=float(rng.uniform(1.04, 1.16)),
        shift=(float(rng.normal(0, 0.03)), float(rng.normal(0, 0.03))),
        light=draw_light(rng),
        warmth=float(rng.normal(0, 0.5)),
        ambience=float(rng.uniform(0.75, 1.15)),
    )


def draw_traits(rng: np.random.Generator) -> dict[str, str]:
    """Draw the traits a picture is listed with.

    An open half shows its garnish in the place of its crust's topping; raisins go with cream cheese only.
    """
    serving = choose(rng, SERVINGS)
    crust, topping = choose(rng, CRUSTS), choose(rng, TOPPINGS)
    filling = choose(rng, {"whole": {"none": 1.0}, "sandwich": SANDWICHES, "open half": SPREADS}[serving])
    if serving == "open half":
        topping = GARNISHES[filling]
    elif serving == "sandwich" and topping == "cinnamon raisin":
        filling = "cream cheese"
    return {
        "serving": serving,
        "crust": crust,
        "topping": topping,
        "filling": filling,
        "stand": choose(rng, STANDS),
        "table": choose(rng, TABLES),
    }


def draw_waves(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the ring's irregularity: low harmonics mostly, as hand-rolled dough has."""
    strength = np.array([0.014, 0.014, 0.009, 0.006], np.float32)[:, None, None]
    share = np.array([0.8, 1.15], np.float32)
    return np.asarray(rng.standard_normal((4, 2, 2), np.float32) * strength * share, np.float32)


def draw_elevation(rng: np.random.Generator, serving: str) -> float:
    """Draw the camera's height over the table as an angle: low for sandwiches, whose side is the point."""
    middle, spread = {"whole": (54, 11), "sandwich": (35, 5), "open half": (52, 8)}[serving]
    return float(np.radians(np.clip(rng.normal(middle, spread), 22, 82)))


def draw_light(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the key light's direction: behind the bagel and to a side, as food is photographed."""
    side = rng.choice([-1, 1]) * rng.uniform(0.35, 1.5)
    height = rng.uniform(0.62, 1.05)
    return np.array(
        [np.sin(side) * np.cos(height), np.cos(side) * np.cos(height), np.sin(height)], np.float32
    )
