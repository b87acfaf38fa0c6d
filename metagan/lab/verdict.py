"""Can this generator draw this picture? How near it comes, beside how near it comes to its own pictures.

A distance says little by itself: some generators are hard to search. So some of the generator's own pictures are
projected in just the same way, and a picture's distance is put beside theirs. They are kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch

from metagan.fetch.cache import cache_folder
from metagan.files import write_bytes
from metagan.lab.project import Projector
from metagan.lab.project_files import batch_of
from metagan.lab.targets import Target
from metagan.networks.generator import Noise
from metagan.sampling.latents import labels, latents
from metagan.sampling.levels import to_uint8

FIRST_SEED: Final = 3_000_000_000  # of the generator's own pictures: seeds that hardly anybody has on a site
BEYOND: Final = 2.0  # so many times as far as the worst of its own: it can't draw that


@dataclass(frozen=True)
class Verdict:
    """How well a generator draws a picture.

    Args:
        share: Of its own pictures, those that it finds no better than this one, 0 to 1.
        words: The same in words.
    """

    share: float
    words: str


def verdict_on(distance: float, own: list[float]) -> Verdict:
    """Put a picture's distance beside those of a generator's own pictures."""
    share = sum(other >= distance for other in own) / len(own)
    worst = max(own)
    if distance > BEYOND * worst:
        times = distance / max(worst, 1e-9)
        return Verdict(
            share, f"this generator can't draw it: {times:.1f} times as far off as the worst of its own"
        )
    if share == 0:
        return Verdict(share, f"fits worse than all {len(own)} of its own pictures, if not by much")
    return Verdict(share, f"fits as well as {share:.0%} of its own pictures")


def own_distances(
    projector: Projector, count: int, advance: Callable[[int], None] = lambda _: None
) -> list[float]:
    """The distances at which a generator's own pictures are found, with psi 1.

    Args:
        projector: How to look; each setting has distances of its own.
        count: How many pictures. Those that were projected before are read from the user's cache.
        advance: Called with the number of further steps of a picture done.
    """
    path = _cache_path(projector)
    known = _read(path)[:count]
    advance(len(known) * projector.options.steps)
    while len(known) < count:
        size = min(batch_of(projector.generator.resolution), count - len(known))
        targets = _own_pictures(projector, len(known), size)
        for found in projector.run(targets, projector.begin(targets), advance):
            known.append(found.distance)
        with suppress(OSError):  # no room to remember is no error
            write_bytes(path, json.dumps(known).encode())
    return known


@torch.inference_mode()
def _own_pictures(projector: Projector, first: int, count: int) -> list[Target]:
    generator, device = projector.generator, projector.device
    z = latents(range(FIRST_SEED + first, FIRST_SEED + first + count), generator.z_dim).to(device)
    label = labels(projector.options.class_index, generator.c_dim, count)
    ws = generator.map_latents(z, None if label is None else label.to(device))
    pictures = to_uint8(generator.synthesize(ws, Noise("const")))
    side = generator.resolution
    return [
        Target(
            f"own {first + index}",
            torch.from_numpy(picture.transpose(2, 0, 1).copy()).float() / 127.5 - 1,
            torch.ones(1, side, side),
        )
        for index, picture in enumerate(pictures)
    ]


def _cache_path(projector: Projector) -> Path:
    perceptual = None if projector.perceptual is None else projector.perceptual.backbone
    facts = json.dumps([projector.fingerprint, asdict(projector.options), perceptual], sort_keys=True)
    return cache_folder() / "lab" / f"own-{hashlib.sha256(facts.encode()).hexdigest()}.json"


def _read(path: Path) -> list[float]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    good = isinstance(known, list) and all(isinstance(x, float) and math.isfinite(x) for x in known)
    return known if good else []
