"""What a drawn hummingbird is: its traits with their probabilities, and the numbers that follow from them."""

from dataclasses import dataclass

import numpy as np

from metagan.drawings.painting import choose
from metagan.drawings.tracing import Array, normalize

Colour = tuple[int, int, int]

PLUMAGES = {
    "ruby throat": 0.24,
    "magenta crown": 0.17,
    "rufous": 0.18,
    "sapphire": 0.15,
    "violet ear": 0.13,
    "blue hood": 0.13,
}
POSES = {"feeding": 0.44, "hovering": 0.32, "perched": 0.24}
WINGS = {"raised": 0.42, "swept back": 0.33, "lowered": 0.25}
FLOWERS = {"scarlet": 0.3, "pink": 0.24, "orange": 0.18, "violet": 0.16, "white": 0.12}
BACKGROUNDS = {"forest": 0.3, "meadow": 0.28, "garden": 0.2, "dusk": 0.12, "sky": 0.1}
FACING = {"left": 0.5, "right": 0.5}


@dataclass(frozen=True)
class Plumage:
    """A kind's colours, sRGB.

    Attributes:
        throat: The gorget seen straight on, and what it turns to at a slant.
        back: The back's green or red seen straight on, and at a slant.
        crown: As back, for the top of the head.
        ear: Colour of the patch behind the eye, if there is one.
        hood: Whether the throat's colour covers the whole head.
    """

    throat: tuple[Colour, Colour]
    back: tuple[Colour, Colour]
    crown: tuple[Colour, Colour]
    breast: Colour
    belly: Colour
    flank: Colour
    tail: Colour
    bill: Colour = (38, 34, 34)
    ear: Colour | None = None


GREEN = ((96, 148, 70), (34, 104, 96))
EMERALD = ((40, 164, 84), (16, 104, 130))
KINDS = {
    "ruby throat": Plumage(
        ((226, 24, 52), (236, 122, 30)), GREEN, GREEN,
        (232, 228, 218), (206, 204, 192), (140, 146, 116), (58, 56, 62),
    ),
    "magenta crown": Plumage(
        ((240, 44, 130), (150, 50, 190)), ((106, 150, 84), (44, 116, 100)), ((240, 44, 130), (150, 50, 190)),
        (190, 194, 184), (170, 176, 164), (120, 140, 104), (64, 70, 66),
    ),
    "rufous": Plumage(
        ((244, 84, 22), (250, 186, 40)), ((206, 116, 54), (160, 92, 50)), ((170, 122, 62), (110, 120, 60)),
        (244, 234, 214), (228, 176, 120), (206, 128, 66), (196, 104, 46),
    ),
    "sapphire": Plumage(
        ((36, 90, 236), (110, 44, 220)), ((30, 150, 104), (20, 96, 150)), ((36, 150, 120), (20, 100, 170)),
        (36, 132, 150), (52, 140, 116), (40, 124, 96), (26, 36, 72), bill=(206, 62, 44),
    ),
    "violet ear": Plumage(
        ((30, 170, 120), (30, 110, 190)), EMERALD, EMERALD,
        (48, 150, 104), (104, 160, 104), (70, 140, 80), (30, 96, 104), ear=(116, 46, 214),
    ),
    "blue hood": Plumage(
        ((34, 74, 214), (30, 130, 210)), GREEN, ((34, 74, 214), (30, 130, 210)),
        (40, 76, 190), (246, 244, 238), (96, 150, 90), (238, 236, 230),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """One bird and its scene; lengths are in units of about the body's length, angles in radians.

    Attributes:
        body: Pitch of the body's axis over the horizontal.
        head: Pitch of the bill.
        tail: Pitch of the tail's axis against the body's.
        fan: Half the tail's opening.
        yaw: Turn towards the viewer (positive) or away.
        stroke: Angle of the wings' span over the body's axis, forward from the tail.
        spread: How far the wings reach out to the sides, 0 to 1.
        parting: How much further forward the far wing is.
        sweep: Half the angle a wing goes through while the shutter is open.
        light: Unit direction to the sun, in the picture's frame (x right, y up, z to the viewer).
    """

    traits: dict[str, str]
    plumage: Plumage
    body: float
    head: float
    tail: float
    fan: float
    yaw: float
    roll: float
    bill: float
    curve: float
    plumpness: float
    stroke: float
    spread: float
    parting: float
    sweep: float
    light: Array
    zoom: float
    warmth: float

    @property
    def side(self) -> int:
        """1 if it faces right, -1 if left."""
        return 1 if self.traits["facing"] == "right" else -1

    @property
    def perched(self) -> bool:
        """Whether it sits on a twig with folded wings."""
        return self.traits["pose"] == "perched"


def draw_recipe(rng: np.random.Generator) -> Recipe:
    """Draw a bird's traits, pose and light."""
    traits = draw_traits(rng)
    perched = traits["pose"] == "perched"
    stroke, spread = {"raised": (82, 0.5), "swept back": (48, 0.55), "lowered": (-62, 0.6)}.get(
        traits["wings"], (0, 0)
    )
    height, side = rng.uniform(0.5, 1.0), rng.uniform(-0.75, 0.75)
    return Recipe(
        traits=traits,
        plumage=KINDS[traits["plumage"]],
        body=float(np.radians(rng.normal(56, 6) if perched else np.clip(rng.normal(45, 7), 28, 62))),
        head=float(np.radians(rng.normal(6, 9))),
        tail=float(np.radians(rng.normal(6, 7) if perched else rng.normal(-12, 12))),
        fan=float(np.radians(rng.uniform(4, 9) if perched else rng.uniform(10, 30))),
        yaw=float(np.radians(np.clip(rng.normal(14, 14), -22, 42))),
        roll=float(np.radians(rng.normal(0, 5))),
        bill=float(rng.uniform(0.46, 0.6)),
        curve=float(rng.uniform(0, 0.035)),
        plumpness=float(rng.normal(1.08 if perched else 1.0, 0.045)),
        stroke=float(np.radians(stroke + rng.normal(0, 9))),
        spread=float(np.clip(spread + rng.normal(0, 0.09), 0.2, 0.85)),
        parting=float(np.radians(np.sign(stroke) * np.clip(rng.normal(34, 12), 8, 60))),
        sweep=float(np.radians(rng.uniform(4, 18))),
        light=normalize(np.array([side, height, rng.uniform(0.45, 0.9)])),
        zoom=float((1.16 if perched else 1.0) * rng.uniform(0.97, 1.07)),
        warmth=float(rng.normal(0, 0.5)),
    )


def draw_traits(rng: np.random.Generator) -> dict[str, str]:
    """Draw the traits a picture is listed with."""
    plumage, pose = choose(rng, PLUMAGES), choose(rng, POSES)
    wings, flower = choose(rng, WINGS), choose(rng, FLOWERS)
    return {
        "plumage": plumage,
        "pose": pose,
        "wings": "folded" if pose == "perched" else wings,
        "flower": flower if pose == "feeding" else "none",
        "background": choose(rng, BACKGROUNDS),
        "facing": choose(rng, FACING),
    }
