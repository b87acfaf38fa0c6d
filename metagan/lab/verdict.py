"""Compares how well a generator draws a picture with how well it draws its own pictures.

A distance alone says little, because some generators are harder to search than others. So some of the generator's own
pictures are projected in the same way, and distances are compared. The own distances are kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import torch

from metagan.fetch.cache import cache_folder
from metagan.files import write_bytes
from metagan.lab.project import Projector
from metagan.lab.project_files import Found, Verdict, batch_of
from metagan.lab.styles import map_latents
from metagan.lab.targets import Target
from metagan.networks.generator import Noise
from metagan.sampling.latents import latents
from metagan.sampling.levels import to_uint8

FIRST_SEED: Final = 3_000_000_000  # of the generator's own pictures: seeds that hardly anybody has on a site
SEARCH: Final = ("axes.py", "fit.py", "perceptual.py", "project.py")  # what distances depend on
BEYOND: Final = 2.0  # so many times as far as the worst of its own: it can't draw that


def with_verdicts(found: Iterable[Found], own: list[float]) -> list[Found]:
    """Return projected pictures with their verdicts beside a generator's own pictures, at these distances."""
    return [replace(one, verdict=verdict_on(one.styles.info.distance or 0.0, own)) for one in found]


def verdict_on(distance: float, own: list[float]) -> Verdict:
    """Compare a picture's distance with those of a generator's own pictures."""
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
    """Return the distances at which a generator's own pictures, drawn with psi 1, are found.

    Args:
        projector: The search; distances depend on all its settings.
        count: Number of pictures. Distances found earlier are read from the user's cache.
        advance: Called with the number of further finished steps.
    """
    path = _cache_path(projector)
    known = _read(path)[:count]
    advance(len(known) * projector.options.steps)
    while len(known) < count:
        size = min(batch_of(projector.generator.size), count - len(known))
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
    ws = map_latents(generator, z, projector.options.label)
    pictures = to_uint8(generator.synthesize(ws, Noise("const")))
    return [
        Target(
            f"own {first + index}",
            torch.from_numpy(picture.transpose(2, 0, 1).copy()).float() / 127.5 - 1,
            torch.ones(1, *picture.shape[:2]),
        )
        for index, picture in enumerate(pictures)
    ]


def _cache_path(projector: Projector) -> Path:
    perceptual = None if projector.perceptual is None else projector.perceptual.backbone
    search = [hashlib.sha256((Path(__file__).parent / name).read_bytes()).hexdigest() for name in SEARCH]
    facts = json.dumps([projector.fingerprint, asdict(projector.options), perceptual, search], sort_keys=True)
    return cache_folder() / "lab" / f"own-{hashlib.sha256(facts.encode()).hexdigest()}.json"


def _read(path: Path) -> list[float]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    good = isinstance(known, list) and all(isinstance(x, float) and math.isfinite(x) for x in known)
    return known if good else []
