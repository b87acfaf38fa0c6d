"""Trains a collection's trait classifier.

A tenth of the items is held out. Each trait type's accuracy on it is compared with that of always predicting the most
common value; types that are not predicted better than that are left out of the file, and reported.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from metagan.collection.traits import TraitAccuracy, read_accuracies
from metagan.errors import MalformedFileError, TrainingError
from metagan.networks.trait_classifier import Head, TraitClassifier, TraitClassifierConfig
from metagan.training.run_folder import read_training
from metagan.values import counted

HELD_OUT: Final = 10  # one item of this many is held out
LEAST_ITEMS: Final = 50
RARE: Final = 5  # values of fewer items are not learnt, and count as wrong in the accuracy
MOST_VALUES: Final = 200
_UNKNOWN: Final = -100  # the default ignore_index of cross_entropy
_SURE: Final = 2.0  # standard errors above the majority's share


@dataclass(frozen=True)
class TraitsRecipe:
    """Hyper-parameters of the training.

    Args:
        epochs: Number of passes over the items.
        batch: Pictures per step.
        learning_rate: Peak learning rate, after a warm-up of a tenth of the steps and before cosine decay to 0.
        weight_decay: Weight decay of AdamW.
        seed: Seed of the split, the order and the initial weights.
        min_accuracy: Trait types that are predicted right less often are left out; 0 to 1.
    """

    epochs: int = 12
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    seed: int = 0
    min_accuracy: float = 0.0


def train_traits(
    pictures: UInt8[Tensor, "n h w 3"],
    traits: Mapping[str, Sequence[str]],
    recipe: TraitsRecipe,
    device: torch.device,
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[TraitClassifier, list[TraitAccuracy]]:
    """Train a classifier of all trait types at once, and keep the heads that beat the majority.

    Args:
        pictures: Squares whose side is a power of two.
        traits: By type: each picture's value, in the pictures' order.
        recipe: The hyper-parameters.
        device: Device to train on.
        advance: Called with the number of further pictures seen.

    Returns:
        The classifier, on the CPU, in evaluation mode, and how well every type is predicted.

    Raises:
        TrainingError: If there are too few pictures, or no type can be predicted.
    """
    if len(pictures) < LEAST_ITEMS:
        raise TrainingError(
            f"{counted(len(pictures), 'picture')}: want at least {LEAST_ITEMS}",
            fix="fetch more of the collection, or choose less strictly",
        )
    heads, hopeless = _heads(traits)
    if not heads:
        said = "; ".join(f"{told.type}: {told.why}" for told in hopeless[:5]) or "no traits"
        raise TrainingError(f"no trait type to be told ({said})", fix="give a collection with traits")
    targets = _targets(heads, traits)
    rng = torch.Generator().manual_seed(recipe.seed)
    order = torch.randperm(len(pictures), generator=rng)
    held, learnt = order[::HELD_OUT], _without(order, HELD_OUT)
    learnt = learnt[(targets[:, learnt] != _UNKNOWN).any(dim=0)]  # others, such as one-of-ones, teach nothing
    classifier = _train(
        TraitClassifierConfig(pictures.shape[1], tuple(heads)),
        pictures,
        targets,
        learnt,
        recipe,
        device,
        advance,
    )
    told = _measure(classifier, pictures, targets, held, device, recipe.min_accuracy)
    kept = [index for index, one in enumerate(told) if one.kept]
    if not kept:
        best = max(told, key=lambda one: one.accuracy - one.majority)
        asked = f", and at least {recipe.min_accuracy:.0%} of the time" if recipe.min_accuracy else ""
        raise TrainingError(
            f"no trait type is told better than by its most common value{asked}, beyond chance on "
            f"{counted(len(held), 'held-out item')} "
            f"(best: {best.type}, {best.accuracy:.0%} beside {best.majority:.0%})",
            fix="try more --epochs, a larger --resolution, or more items",
        )
    return _only(classifier, kept), [*told, *hopeless]


def read_former(path: Path) -> float | None:
    """Read how often a classifier that a new one would replace is right, over all its trait types; None without one.

    Raises:
        TrainingError: If the file there is no trait classifier.
    """
    if not path.exists():
        return None
    try:
        told = read_accuracies(read_training(path), path)
    except MalformedFileError:
        told = []
    if not told:
        raise TrainingError("it is no trait classifier", where=path, fix="choose another --out")
    return mean_accuracy(told)


def mean_accuracy(told: Sequence[TraitAccuracy]) -> float:
    """Return the mean accuracy over trait types, with the most common value's where it is predicted no better."""
    return sum(one.accuracy if one.kept else one.majority for one in told) / max(len(told), 1)


def _heads(traits: Mapping[str, Sequence[str]]) -> tuple[list[Head], list[TraitAccuracy]]:
    heads, hopeless = [], []
    for kind, values in traits.items():
        counts = Counter(values)
        common = sorted(value for value, count in counts.items() if count >= RARE)
        share = max(counts.values()) / len(values)
        if len(common) < 2:
            why = "all items are alike" if len(counts) == 1 else f"fewer than two values have {RARE} items"
            hopeless.append(TraitAccuracy(kind, len(common), share, share, kept=False, why=why))
        elif len(common) > MOST_VALUES:
            why = f"{counted(len(common), 'value')}; the most is {MOST_VALUES}"
            hopeless.append(TraitAccuracy(kind, len(common), 0.0, share, kept=False, why=why))
        else:
            heads.append(Head(kind, tuple(common)))
    return heads, hopeless


def _targets(heads: Sequence[Head], traits: Mapping[str, Sequence[str]]) -> Int[Tensor, "heads n"]:
    rows = []
    for head in heads:
        number = {value: index for index, value in enumerate(head.values)}
        rows.append([number.get(value, _UNKNOWN) for value in traits[head.type]])
    return torch.tensor(rows)


def _without(order: Tensor, step: int) -> Tensor:
    keep = torch.ones(len(order), dtype=torch.bool)
    keep[::step] = False
    return order[keep]


def _train(
    config: TraitClassifierConfig,
    pictures: UInt8[Tensor, "n h w 3"],
    targets: Int[Tensor, "heads n"],
    learnt: Int[Tensor, " m"],
    recipe: TraitsRecipe,
    device: torch.device,
    advance: Callable[[int], None],
) -> TraitClassifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        classifier = TraitClassifier(config).to(device).train()
    steps = recipe.epochs * math.ceil(len(learnt) / recipe.batch)
    adam = torch.optim.AdamW(classifier.parameters(), weight_decay=recipe.weight_decay)
    rng = torch.Generator().manual_seed(recipe.seed + 1)
    step = 0
    for _ in range(recipe.epochs):
        for rows in torch.split(learnt[torch.randperm(len(learnt), generator=rng)], recipe.batch):
            adam.param_groups[0]["lr"] = recipe.learning_rate * _pace(step / steps)
            logits = classifier(_floats(pictures[rows], device))
            loss = _loss(logits, targets[:, rows].to(device))
            adam.zero_grad()
            torch.autograd.backward(loss)
            adam.step()
            step += 1
            advance(len(rows))
    return classifier.eval()


def _pace(done: float) -> float:
    return done / 0.1 if done < 0.1 else 0.5 + 0.5 * math.cos(math.pi * (done - 0.1) / 0.9)


def _loss(logits: Sequence[Tensor], targets: Int[Tensor, "heads n"]) -> Float[Tensor, ""]:
    losses = [
        F.cross_entropy(one, target, ignore_index=_UNKNOWN, label_smoothing=0.05)
        for one, target in zip(logits, targets, strict=True)
        if (target != _UNKNOWN).any()
    ]
    return torch.stack(losses).mean()


@torch.no_grad()
def _measure(
    classifier: TraitClassifier,
    pictures: UInt8[Tensor, "n h w 3"],
    targets: Int[Tensor, "heads n"],
    held: Int[Tensor, " m"],
    device: torch.device,
    min_accuracy: float,
) -> list[TraitAccuracy]:
    rows = [classifier(_floats(pictures[some], device)) for some in torch.split(held, 256)]
    told = []
    for index, head in enumerate(classifier.config.heads):
        said = torch.cat([row[index] for row in rows]).argmax(1).cpu()
        right = targets[index, held]
        accuracy = (said == right).double().mean().item()
        known = right[right != _UNKNOWN]
        most = known.bincount().max().item() / len(held) if len(known) else 0.0
        error = math.sqrt(max(most * (1 - most), 1e-9) / len(held))
        why = ""
        if accuracy <= most + _SURE * error:
            why = "not told better than by its most common value"
        elif accuracy < min_accuracy:
            why = f"told right less often than the {min_accuracy:.0%} asked for"
        told.append(TraitAccuracy(head.type, len(head.values), accuracy, most, not why, why))
    return told


def _only(classifier: TraitClassifier, kept: Sequence[int]) -> TraitClassifier:
    """Return the classifier with only these heads."""
    heads = tuple(classifier.config.heads[index] for index in kept)
    smaller = TraitClassifier(
        TraitClassifierConfig(classifier.config.resolution, heads, classifier.config.channels)
    )
    smaller.stages = copy.deepcopy(classifier.stages)
    smaller.heads = torch.nn.ModuleList(copy.deepcopy(classifier.heads[index]) for index in kept)
    return smaller.cpu().eval()


def _floats(pictures: UInt8[Tensor, "n h w 3"], device: torch.device) -> Float[Tensor, "n 3 h w"]:
    return pictures.to(device).permute(0, 3, 1, 2).float().div(127.5).sub(1)
