"""Finds dials: directions of styles or latents that change a generator's pictures visibly, each in its own way.

References:
    [1] Shen and Zhou 2021, Closed-Form Factorization of Latent Semantics in GANs, arXiv:2007.06600 (SeFa, equation 4:
        the eigenvectors of AᵀA, A the weights by which layers take styles).
    [2] Härkönen et al. 2020, GANSpace, arXiv:2004.02546 (section 2.1: principal components of w; section 2.2: of
        features of an early layer, brought back to z by least squares, equation 2).

These methods propose directions; measurements select them. A direction's effect is the visible change that it makes on
some pictures. Directions with less than twice the effect of random ones are dropped, and so are those that change
pictures like a stronger one. The others are scaled: one step of each is the same visible change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from metagan.errors import OptionError
from metagan.lab.dials import Dial, Directions, DirectionsInfo, Method
from metagan.lab.film import to_frame
from metagan.lab.perceptual import PerceptualDistance, as_rgb
from metagan.lab.styles import fingerprint, map_latents, mean_style, styles_shape, truncate
from metagan.networks.generator import Generator
from metagan.sampling.levels import to_uint8
from metagan.sampling.sampler import exact_convolutions
from metagan.values import Label

SAMPLES: Final = 4096
FEATURE_SAMPLES: Final = 1024
RANDOM: Final = 4  # random directions that a range of layers is compared with
TIMES_RANDOM: Final = 2.0
ALIKE: Final = 0.7  # cosine of two directions' changes from which on they are one
STEP_SHARE: Final = 0.2  # of the visible difference between two pictures, in a step
SCALING_ROUNDS: Final = 4
_LINE_PX: Final = 4  # between the blocks of a sheet
FARTHEST: Final = 3


@dataclass(frozen=True)
class DirectionsOptions:
    """How to look for directions.

    Args:
        methods: Methods that propose candidates.
        ranges: Layer ranges, first and last; empty for all layers, and for coarse, middle and fine ones.
        count: Largest number of directions to keep.
        candidates: Number of candidates for each method and range.
        pictures: Number of pictures on which the effect is measured.
        psi: Truncation of these pictures; ignored by generators without a mean style.
        label: What a conditional generator is asked for: a class, or its label's numbers.
        seed: Random seed.
    """

    methods: tuple[Literal["sefa", "pca"], ...] = ("sefa", "pca")
    ranges: tuple[tuple[int, int], ...] = ()
    count: int = 10
    candidates: int = 6
    pictures: int = 6
    psi: float = 0.7
    label: Label | None = None
    seed: int = 0


@dataclass
class Candidate:
    """A direction that may be kept.

    Args:
        vector: Its unit vector, [w_dim or z_dim].
        method: The method that found it.
        first: First layer that it moves.
        last: Last layer that it moves.
        name: Its name; empty to be numbered.
        times_random: Its effect, as a multiple of a random direction's.
        change: The change of the pixels as a unit vector, once it is measured.
    """

    vector: Tensor
    method: Method
    first: int
    last: int
    name: str = ""
    times_random: float = 0.0
    change: Tensor | None = None


class DirectionFinder:
    """Finds the directions of a generator.

    Args:
        generator: The generator, on its device.
        options: How to look for directions.
        perceptual: LPIPS, to measure visible change together with pixels at two scales; None for pixels only.

    Raises:
        OptionError: If a range has layers that don't exist, or only SeFa is requested and there are no styles.
    """

    def __init__(
        self,
        generator: Generator,
        options: DirectionsOptions,
        perceptual: PerceptualDistance | None = None,
    ) -> None:
        self.generator = generator
        self.options = options
        self._perceptual = perceptual
        self.device = next(generator.parameters()).device
        self.space: Literal["z", "w"] = "w" if hasattr(generator, "mapping") else "z"
        self.num_ws, self.w_dim = styles_shape(generator)
        self.methods = (
            options.methods if self.space == "w" else tuple(m for m in options.methods if m == "pca")
        )
        if not self.methods:
            msg = f"--method sefa: this architecture ({generator.architecture}) has no styles"
            raise OptionError(msg, fix="use --method pca, of its features")
        self.ranges = self._checked_ranges()
        self._psi = options.psi if mean_style(generator) is not None else 1.0
        with torch.inference_mode(), exact_convolutions():
            self.base = self.base_of(options.pictures)
            self._shown = self._draw(self.base)
            self._unit = self._unit_length()
            apart = self._visible(self._shown, self._shown.roll(1, 0))
            self._step = STEP_SHARE * float(apart.mean())

    def find(
        self, advance: Callable[[int], None] = lambda _: None, given: Sequence[Candidate] = ()
    ) -> Directions:
        """Return the useful directions, strongest first.

        Args:
            advance: Called with the number of further measured candidates, of `total`.
            given: Directions to begin with, from `candidate`, whatever their effect.

        Raises:
            OptionError: If no candidate has twice the effect of a random direction, and none is given.
        """
        with torch.inference_mode(), exact_convolutions():
            strong: list[Candidate] = []
            for first, last in self.ranges:
                random = self._random_effect(first, last)
                for candidate in self._candidates(first, last):
                    effect, candidate.change = self._effect(candidate)
                    candidate.times_random = effect / max(random, 1e-12)
                    if candidate.times_random >= TIMES_RANDOM:
                        strong.append(candidate)
                    advance(1)
            strong.sort(key=lambda candidate: -candidate.times_random)
            kept = list(given)
            for candidate in strong:
                if len(kept) < self.options.count and not any(_alike(candidate, other) for other in kept):
                    kept.append(candidate)
            if not kept:
                msg = "no direction does twice as much as a random one"
                raise OptionError(
                    msg, fix="try more --candidates, other --layers, or a better trained generator"
                )
            vectors = torch.stack([self.scaled(candidate) for candidate in kept]).cpu()
        dials = tuple(
            Dial(
                name=candidate.name or f"dial {number}",
                method=candidate.method,
                first=candidate.first,
                last=candidate.last,
                times_random=round(candidate.times_random, 3),
            )
            for number, candidate in enumerate(kept, 1)
        )
        info = DirectionsInfo(
            generator=fingerprint(self.generator),
            architecture=self.generator.architecture,
            space=self.space,
            step=STEP_SHARE,
            dials=dials,
        )
        return Directions(info, vectors)

    @property
    def total(self) -> int:
        """Largest number of candidates to measure."""
        return len(self.ranges) * len(self.methods) * self.options.candidates

    def sheet_size(self, dials: int, pictures: int = 4) -> tuple[int, int]:
        """Width and height of a sheet of as many dials."""
        size = self.generator.size
        return (2 * FARTHEST + 1) * size.width, dials * (pictures * size.height + _LINE_PX) - _LINE_PX

    def sheet(self, directions: Directions, pictures: int = 4) -> NDArray[np.uint8]:
        """Draw each dial at -3 to 3 on some pictures: a block of rows per dial, with a line between blocks."""
        blocks = []
        with torch.inference_mode(), exact_convolutions():
            base = self.base_of(pictures)
            for number in range(len(directions.vectors)):
                columns = [
                    self._draw(directions.turn(base, {number: steps}))
                    for steps in range(-FARTHEST, FARTHEST + 1)
                ]
                rows = [
                    np.concatenate(
                        [to_frame(to_uint8(column[index : index + 1])[0]) for column in columns], axis=1
                    )
                    for index in range(pictures)
                ]
                blocks += [*rows, np.full((_LINE_PX, rows[0].shape[1], 3), 255, np.uint8)]
        return np.concatenate(blocks[:-1], axis=0)

    # ----------------------------------------------------------------------------------------
    # Candidates

    def _checked_ranges(self) -> tuple[tuple[int, int], ...]:
        count = self.num_ws if self.space == "w" else 1
        for first, last in self.options.ranges:
            if not 0 <= first <= last < count:
                msg = f"layers {first}-{last}: this generator has layers 0 to {count - 1}"
                raise OptionError(msg, fix="give a range within these")
        if self.options.ranges:
            return self.options.ranges
        if count < 3:
            return ((0, count - 1),)
        edges = [round(share * count / 3) for share in range(4)]
        return ((0, count - 1), *((first, after - 1) for first, after in pairwise(edges)))

    def _candidates(self, first: int, last: int) -> Iterator[Candidate]:
        for method in self.methods:
            vectors = self._sefa(first, last) if method == "sefa" else self._principal()
            for vector in vectors[: self.options.candidates]:
                yield Candidate(vector / vector.norm(), method, first, last)

    def _sefa(self, first: int, last: int) -> Tensor:
        """Return the eigenvectors of AᵀA, largest eigenvalue first ([1] equation 4)."""
        weights = [weight for layer, weight in style_weights(self.generator) if first <= layer <= last]
        if not weights:
            return torch.zeros(0, self.w_dim)
        stacked = torch.cat(
            [weight / weight.norm(dim=0, keepdim=True).mean().clamp(min=1e-12) for weight in weights]
        )
        _, vectors = torch.linalg.eigh((stacked.t() @ stacked).double())
        largest_first: Tensor = vectors.flip(1).t().float()
        return largest_first

    def _principal(self) -> Tensor:
        """Return principal components of styles ([2] section 2.1), or of features, in latents ([2] section 2.2)."""
        if self.space == "w":
            w = self.map(self._latents(SAMPLES, self.options.seed + 1))[:, 0]
            axes: Tensor = torch.linalg.svd((w - w.mean(dim=0)).double(), full_matrices=False).Vh
            return axes.float()
        z = self._latents(FEATURE_SAMPLES, self.options.seed + 1)
        features = early_features(self.generator, self.map(z)).double()
        features = features - features.mean(dim=0)
        components = torch.linalg.svd(features, full_matrices=False).Vh[: self.options.candidates]
        coordinates = features @ components.t()
        solved: Tensor = torch.linalg.lstsq(
            coordinates, z.double()
        ).solution  # z from coordinates, [2] equation 2
        scaled: Tensor = solved * coordinates.std(dim=0)[:, None]
        return scaled.float()

    # ----------------------------------------------------------------------------------------
    # Effects

    def base_of(self, count: int, seed: int | None = None, psi: float | None = None) -> Tensor:
        """Return truncated styles [count, num_ws, w_dim], or latents [count, z_dim], of some pictures.

        Args:
            count: How many.
            seed: Random seed; None for that of the options.
            psi: Their truncation; None for that of the options.
        """
        with torch.inference_mode(), exact_convolutions():
            z = self._latents(count, self.options.seed if seed is None else seed)
            return (
                z
                if self.space == "z"
                else truncate(self.generator, self.map(z), self._psi if psi is None else psi)
            )

    @torch.inference_mode()
    def candidate(self, vector: Tensor, method: Method, first: int, last: int, name: str = "") -> Candidate:
        """Return a direction with its measured effect, to begin `find` with.

        Args:
            vector: Its unit vector.
            method: The method that found it.
            first: First layer that it moves.
            last: Last layer that it moves.
            name: Its name.
        """
        found = Candidate(vector, method, first, last, name)
        with exact_convolutions():
            effect, found.change = self._effect(found)
            found.times_random = effect / max(self._random_effect(first, last), 1e-12)
        return found

    def moved(self, code: Tensor, step: Tensor, candidate: Candidate, steps: float) -> Tensor:
        """Return codes from `base_of` moved along a candidate by steps of `scaled`."""
        moved = code.clone()
        if self.space == "w":
            moved[:, candidate.first : candidate.last + 1] += steps * step
        else:
            moved += steps * step
        return moved

    def _unit_length(self) -> float:
        """Return a third of the codes' mean distance from their mean: the length at which candidates are compared."""
        codes = self._latents(SAMPLES, self.options.seed + 1)
        if self.space == "w":
            codes = self.map(codes)[:, 0]
        return float((codes - codes.mean(dim=0)).norm(dim=1).mean()) / 3

    def _effect(self, candidate: Candidate) -> tuple[float, Tensor]:
        """Return the visible change of the unit step, and the change of the pixels as a unit vector."""
        drawn = self._draw(self.moved(self.base, candidate.vector.to(self.device), candidate, self._unit))
        change = (drawn - self._shown).flatten()
        return float(self._visible(drawn, self._shown).mean()), change / change.norm().clamp(min=1e-12)

    def _random_effect(self, first: int, last: int) -> float:
        width = self.base.shape[-1]
        source = torch.Generator().manual_seed(self.options.seed)
        effects = []
        for _ in range(RANDOM):
            vector = torch.randn(width, generator=source)
            effects.append(self._effect(Candidate(vector / vector.norm(), "pca", first, last))[0])
        return sum(effects) / RANDOM

    @torch.inference_mode()
    def scaled(self, candidate: Candidate) -> Tensor:
        """Scale a candidate to one step: the length at which the visible change, averaged over both ways, is fixed."""
        length, vector = self._unit, candidate.vector.to(self.device)
        for _ in range(SCALING_ROUNDS):
            there, back = (
                self._draw(self.moved(self.base, vector, candidate, sign * length)) for sign in (1, -1)
            )
            change = float((self._visible(there, self._shown) + self._visible(back, self._shown)).mean()) / 2
            length *= min(4.0, max(0.25, self._step / max(change, 1e-12)))
        return vector * length

    def _visible(self, a: Tensor, b: Tensor) -> Tensor:
        """Return how different pictures look, roughly proportional to the size of the change."""
        difference = a - b
        total = difference.square().mean(dim=(1, 2, 3))
        total = total + nn.functional.avg_pool2d(difference, 4).square().mean(dim=(1, 2, 3))
        if self._perceptual is not None:
            total = total + 20 * self._perceptual(as_rgb(a), as_rgb(b))
        return total.sqrt()

    # ----------------------------------------------------------------------------------------
    # Drawing

    def _latents(self, count: int, seed: int) -> Tensor:
        rows = np.random.RandomState(seed % 2**32).randn(count, self.generator.z_dim)
        return torch.from_numpy(rows).float().to(self.device)

    def map(self, z: Tensor) -> Tensor:
        """Map latents [n, z_dim] to styles, for the class of the options."""
        return map_latents(self.generator, z, self.options.label)

    def _draw(self, code: Tensor) -> Tensor:
        ws = code if self.space == "w" else self.map(code)
        images: Tensor = self.generator.synthesize(ws)
        return images.clamp(-1, 1)


def _alike(one: Candidate, other: Candidate) -> bool:
    if one.change is None or other.change is None:
        raise AssertionError("candidates are measured before they are compared")
    return abs(float(one.change @ other.change)) > ALIKE


def style_weights(generator: Generator) -> list[tuple[int, Tensor]]:
    """Return the layers' affine weights for styles, [out, w_dim], each with the index of its style.

    They are found by synthesizing a picture from different styles and recording each layer's input.
    """
    network: Any = generator
    num_ws, w_dim = styles_shape(generator)
    device = next(generator.parameters()).device
    ws = torch.randn(1, num_ws, w_dim, generator=torch.Generator().manual_seed(0)).to(device)
    found: list[tuple[int, Tensor]] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        for index in range(num_ws):
            if torch.equal(inputs[0], ws[:, index]):
                found.append((index, module.get_parameter("weight").detach().float()))
                return

    hooks = [
        module.register_forward_pre_hook(note)
        for name, module in network.named_modules()
        if name.endswith((".affine", ".to_style")) and "rgb" not in name
    ]
    try:
        generator.synthesize(ws)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def early_features(generator: Generator, ws: Tensor) -> Tensor:
    """Return the features [n, width] of an early layer, for generators that are a plain stack of layers."""
    network: Any = generator
    stack = network.stages if hasattr(network, "stages") else network.layers
    early = stack[0] if hasattr(network, "stages") else stack[min(2, len(stack) - 1)]
    taken: list[Tensor] = []
    hook = early.register_forward_hook(lambda _module, _inputs, output: taken.append(output.flatten(1)))
    try:
        for start in range(0, len(ws), 32):
            generator.synthesize(ws[start : start + 32])
    finally:
        hook.remove()
    return torch.cat(taken)


def find_directions(
    generator: Generator,
    options: DirectionsOptions | None = None,
    *,
    perceptual: PerceptualDistance | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Directions:
    """Find the useful directions of a generator; see DirectionFinder."""
    return DirectionFinder(generator, options or DirectionsOptions(), perceptual).find(advance)


def describe(directions: Directions) -> Sequence[str]:
    """Return a line of text for each dial."""
    return [
        f"{dial.name}: layers {dial.first} to {dial.last}, {dial.times_random:.1f} times a random direction"
        f" ({dial.method})"
        for dial in directions.info.dials
    ]
