"""Directions and a collection's traits: names by the trait that a direction changes most, and directions of one trait.

References:
    [1] Shen et al. 2020, Interpreting the Latent Space of GANs for Semantic Face Editing, arXiv:1907.10786 (section
        2.2: a trait's direction is the normal of the plane that separates latents with it from those without).

Traits are what a classifier of `metagan collection traits` predicts of pictures. They are measured on pictures as they
are drawn, before any upscaler.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from metagan.errors import OptionError
from metagan.fetch.locate import locate_weights
from metagan.lab.dials import MAX_NAME, Directions
from metagan.lab.directions import FARTHEST, Candidate, DirectionFinder
from metagan.networks.trait_classifier import TraitClassifier, load_classifier
from metagan.registry.weights_ref import WeightsRef, parse_weights
from metagan.sampling.sampler import Sampler
from metagan.values import InvalidValueError, counted, show

NAMING_STEPS: Final = 2.0
NAMING_PICTURES: Final = 48
LEAST_CHANGE: Final = (
    0.1  # of the distribution of a trait's values, total variation distance, to be a direction's name
)
SAMPLES: Final = 2000
LEAST_EXAMPLES: Final = 20
_HELD_OUT: Final = 5  # every fifth sample
_RIDGES: Final = (0.01, 0.1, 1.0)
_NEWTON_STEPS: Final = 12


@dataclass(frozen=True)
class TraitDirection:
    """A trait's direction.

    Args:
        trait: "Hat=Crown".
        candidate: The direction.
        accuracy: How well the plane tells held-out latents with the trait from those without, 0.5 to 1.
        before: Share of pictures with the trait, at -3 steps.
        after: The same at 3 steps.
    """

    trait: str
    candidate: Candidate
    accuracy: float
    before: float
    after: float

    @property
    def named(self) -> Candidate:
        """The direction under the trait's name: "Hat: Crown"."""
        return dataclasses.replace(self.candidate, name=_dial_name(self.trait.replace("=", ": ", 1)))

    def __str__(self) -> str:
        first, last = self.candidate.first, self.candidate.last
        return (
            f"{self.trait}: layers {first} to {last}, in {self.before:.0%} of pictures at {-FARTHEST} steps, in "
            f"{self.after:.0%} at {FARTHEST}; {self.accuracy:.0%} of held-out latents told apart"
        )


class TraitMeter:
    """Measures the traits of a generator's pictures.

    Args:
        finder: The finder of the generator's directions.
        classifier: Predicts traits.

    Raises:
        OptionError: If the generator's pictures aren't RGB.
    """

    def __init__(self, finder: DirectionFinder, classifier: TraitClassifier) -> None:
        if finder.generator.image_channels != 3:
            channels = finder.generator.image_channels
            msg = f"the classifier takes RGB pictures, the generator's have {counted(channels, 'channel')}"
            raise OptionError(msg, fix="leave --traits out")
        self.finder = finder
        self.classifier = classifier.eval()
        self._sampler = Sampler(finder.generator, finder.device)

    @torch.inference_mode()
    def shares(self, code: Float[Tensor, "n *rest"]) -> list[Float[Tensor, "n values"]]:
        """Return each head's probabilities for the pictures of styles [n, num_ws, w_dim] or latents [n, z_dim]."""
        rows = [row[None] for row in code]
        ws = (row if self.finder.space == "w" else self.finder.map(row) for row in rows)
        pictures = [torch.from_numpy(each.copy()) for each in self._sampler.draw_styles(one[0] for one in ws)]
        found: list[list[Tensor]] = []
        for start in range(0, len(pictures), 64):
            batch = torch.stack(pictures[start : start + 64])
            found.append(
                [F.softmax(logits, dim=1) for logits in self.classifier(self.classifier.prepare(batch))]
            )
        return [torch.cat(parts) for parts in zip(*found, strict=True)]

    def name(self, directions: Directions, advance: Callable[[int], None] = lambda _: None) -> Directions:
        """Name directions by the trait whose values they change most: "Hat: none → beanie".

        Those that change no trait's values by a tenth keep their names.

        Args:
            directions: The directions.
            advance: Called with the number of further named directions.
        """
        base = self.finder.base_of(NAMING_PICTURES)
        names = []
        for number, dial in enumerate(directions.info.dials):
            low, high = (
                self.shares(directions.turn(base, {number: sign * NAMING_STEPS})) for sign in (-1, 1)
            )
            name = self._most_changed(low, high) if dial.method != "logistic" else None
            names.append(name or dial.name)
            advance(1)
        named = [_distinct(name, names[:place]) for place, name in enumerate(names)]
        return directions.arranged([(name, place) for place, name in enumerate(named, 1)], rest=False)

    def _most_changed(self, low: Sequence[Tensor], high: Sequence[Tensor]) -> str | None:
        changes = [(b.mean(dim=0) - a.mean(dim=0)) for a, b in zip(low, high, strict=True)]
        distances = [float(change.abs().sum()) / 2 for change in changes]
        most = max(range(len(changes)), key=lambda index: distances[index])
        if distances[most] < LEAST_CHANGE:
            return None
        head, change = self.classifier.config.heads[most], changes[most]
        lost, gained = head.values[int(change.argmin())], head.values[int(change.argmax())]
        return _dial_name(f"{head.type}: {lost} → {gained}")

    def find(
        self, traits: Sequence[str], advance: Callable[[int], None] = lambda _: None
    ) -> list[TraitDirection]:
        """Find the directions of traits by logistic regression ([1] section 2.2).

        Each moves that one of the finder's ranges of layers in which its trait becomes most frequent.

        Args:
            traits: "Hat=Crown", and others.
            advance: Called with the number of further measured ranges, of as many as the finder has for each trait.

        Raises:
            OptionError: If the classifier knows no such trait, or too few pictures have it, or lack it.
        """
        places = [self._find_value(trait) for trait in traits]
        code = self.finder.base_of(SAMPLES, seed=self.finder.options.seed + 2, psi=1.0)
        values = [head.argmax(dim=1) for head in self.shares(code)]
        rows = (code[:, 0] if self.finder.space == "w" else code).cpu()
        found = []
        for head, value in places:
            kind = self.classifier.config.heads[head]
            trait, has = f"{kind.type}={kind.values[value]}", (values[head] == value).cpu()
            count = int(has.sum())
            if min(count, SAMPLES - count) < LEAST_EXAMPLES:
                raise OptionError(
                    f"--trait {trait}: {count:,} of {SAMPLES:,} pictures {'has' if count == 1 else 'have'} it",
                    fix=f"choose one that at least {LEAST_EXAMPLES} have, and at least {LEAST_EXAMPLES} lack",
                )
            vector, accuracy = separate(rows, has)
            found.append((trait, head, value, vector, accuracy))
        return [self._best_range(*one, advance) for one in found]

    def _best_range(
        self,
        trait: str,
        head: int,
        value: int,
        vector: Tensor,
        accuracy: float,
        advance: Callable[[int], None],
    ) -> TraitDirection:
        base = self.finder.base_of(NAMING_PICTURES)
        found = []
        for first, last in self.finder.ranges:
            candidate = self.finder.candidate(vector, "logistic", first, last)
            step = self.finder.scaled(candidate)
            before, after = (
                self._share(self.finder.moved(base, step, candidate, sign * FARTHEST), head, value)
                for sign in (-1, 1)
            )
            found.append(TraitDirection(trait, candidate, accuracy, before, after))
            advance(1)
        return max(found, key=lambda one: one.after - one.before)

    def _share(self, code: Tensor, head: int, value: int) -> float:
        """Return the share of pictures of which a head predicts a value."""
        return float((self.shares(code)[head].argmax(dim=1) == value).float().mean())

    def _find_value(self, trait: str) -> tuple[int, int]:
        """Return a head's number, and a value's."""
        kind, equals, value = trait.partition("=")
        heads = self.classifier.config.heads
        kinds = {head.type.casefold(): number for number, head in enumerate(heads)}
        if not equals or kind.strip().casefold() not in kinds:
            raise _unknown("trait", trait, [head.type for head in heads], kind)
        number = kinds[kind.strip().casefold()]
        values = {known.casefold(): place for place, known in enumerate(heads[number].values)}
        if value.strip().casefold() not in values:
            raise _unknown(f"value of {heads[number].type}", trait, list(heads[number].values), value)
        return number, values[value.strip().casefold()]


def choose_classifier(file: str | None, known: WeightsRef | None) -> TraitClassifier | None:
    """Return the trait classifier to use.

    Args:
        file: A classifier's path, bundled:NAME or "none"; None for that which is known.
        known: The subject's, or None.

    Raises:
        OptionError: If there is no such file.
        CheckpointError: If it can't be read, or is no classifier.
    """
    try:
        ref = known if file is None else None if file == "none" else parse_weights(file, Path.cwd())
    except InvalidValueError as error:
        raise OptionError(f"--traits: {error.complaints[0]}", fix=error.complaints[0].fix) from error
    return None if ref is None else load_classifier(locate_weights(ref))[0]


def _unknown(what: str, trait: str, known: Sequence[str], asked: str) -> OptionError:
    close = get_close_matches(asked.strip(), known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    shown = ", ".join(known[:30]) + (", ..." if len(known) > 30 else "")
    plural = "values" if what.startswith("value") else "traits"
    return OptionError(
        f"--trait {show(trait)}: the classifier knows no such {what}",
        fix=f"{hint}write TYPE=VALUE; the {plural} are: {shown}",
    )


def _dial_name(text: str) -> str:
    """Return a text as a dial's name: without the signs that separate dials, and with room for a number behind."""
    name = text.translate(str.maketrans(",=", "  "))
    return name if len(name) <= MAX_NAME - 10 else f"{name[: MAX_NAME - 11]}…"


def _distinct(name: str, earlier: Sequence[str]) -> str:
    before = list(earlier).count(name)
    return f"{name} ({before + 1})" if before else name


def separate(rows: Float[Tensor, "n width"], has: Tensor) -> tuple[Float[Tensor, " width"], float]:
    """Separate rows by logistic regression, both classes weighing the same.

    Args:
        rows: Styles or latents.
        has: Whether each row belongs to the first class, [n]; both classes have at least five.

    Returns:
        The unit normal of the plane, toward the first class, and the mean of both classes' accuracy on every fifth
        row, which is left out of the regression.
    """
    rows, y = rows.double(), has.double()
    mean, spread = rows.mean(dim=0), rows.std(dim=0).clamp(min=1e-9)
    x = torch.cat([(rows - mean) / spread, torch.ones(len(rows), 1, dtype=torch.float64)], dim=1)
    order = torch.argsort(y, stable=True)  # so that both classes are held out alike
    held = torch.zeros(len(rows), dtype=torch.bool)
    held[order[::_HELD_OUT]] = True
    best, normal = -1.0, rows[0]
    for ridge in _RIDGES:
        weights = _regress(x[~held], y[~held], ridge)
        right = ((x[held] @ weights > 0) == (y[held] > 0.5)).double()
        accuracy = float((right[y[held] > 0.5].mean() + right[y[held] <= 0.5].mean()) / 2)
        if accuracy > best:
            best, normal = accuracy, weights[:-1] / spread
    return (normal / normal.norm()).float(), best


def _regress(x: Tensor, y: Tensor, ridge: float) -> Tensor:
    """Logistic regression by Newton's method; `ridge` is the penalty of squared weights, relative to the mean loss."""
    sizes = torch.where(y > 0.5, 0.5 / y.sum(), 0.5 / (1 - y).sum())
    penalty = ridge * torch.eye(x.shape[1], dtype=x.dtype)
    penalty[-1, -1] = 1e-6  # the intercept
    weights = torch.zeros(x.shape[1], dtype=x.dtype)
    for _ in range(_NEWTON_STEPS):
        p = torch.sigmoid(x @ weights)
        gradient = x.t() @ (sizes * (p - y)) + penalty @ weights
        curvature = (x * (sizes * p * (1 - p))[:, None]).t() @ x + penalty
        weights = weights - torch.linalg.solve(curvature, gradient)
    return weights
