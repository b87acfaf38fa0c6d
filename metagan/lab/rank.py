"""Ranks seeds: the best of many pictures by the discriminator, by nearness to real pictures, or by both.

References:
    [1] Karras et al. 2018, Progressive Growing of GANs, arXiv:1710.10196 (minibatch standard deviation, section 3).
    [2] Kynkäänniemi et al. 2019, Improved Precision and Recall Metric, arXiv:1904.06991 (realism of one picture,
        section 5).
    [3] Carlini et al. 2023, Extracting Training Data from Diffusion Models, arXiv:2301.13188 (copies: much nearer to
        one training picture than to the next ones, section 5.1).

A StyleGAN2 discriminator looks at groups: minibatch standard deviation tells it how different the pictures of a group
are. In a list, the score of a picture would depend on its neighbours. So every picture is scored in a group of its own
together with the same fixed pictures: real ones, or without a dataset the generator's mean picture.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from metagan.checkpoints.read import read_checkpoint
from metagan.datasets.source import PictureSource, evenly_spaced
from metagan.errors import MalformedFileError, OptionError
from metagan.evaluation.features import FeatureSpace
from metagan.files import read_bytes
from metagan.images.sheet import contact_sheet
from metagan.lab.film import to_frame
from metagan.lab.styles import fingerprint, mean_style
from metagan.networks.dcgan.network import Config as DCGANConfig
from metagan.networks.dcgan.network import Discriminator as DCGANDiscriminator
from metagan.networks.loading.assemble import assemble
from metagan.networks.loading.detect import load_discriminator
from metagan.networks.lucidrains.discriminator import LucidrainsDiscriminator
from metagan.networks.r3gan.network import Discriminator as R3GANDiscriminator
from metagan.networks.stylegan2.discriminator import Discriminator
from metagan.sampling.latents import chosen_label, labels
from metagan.sampling.sampler import Picture, Sampler, Settings, exact_convolutions
from metagan.training.run_folder import RunFolder, read_config
from metagan.training.state import has_state, read_last_state
from metagan.values import Size, counted, text_of

By = Literal["discriminator", "realism", "mixture"]
NEAREST: Final = 5  # real pictures whose mean distance is a picture's realism
COPY_NEIGHBOURS: Final = 50  # [3]: n
COPY_SHARE: Final = 0.5  # [3]: alpha; and the same share of what is common among real pictures
COPY_QUANTILE: Final = 0.05
LEAST_COPY_SHARE: Final = 0.05  # so that copies are still found in datasets with duplicates
COPY_SIDE: Final = 32  # pictures are compared at this size to find copies
COMPANIONS: Final = 4  # groups of fixed pictures, whose scores are averaged
BATCH: Final = 32
MOST_REALS: Final = 10_000
GROUP_OF_WHOLE_BATCH: Final = 8
SHOWN: Final = 16
COLUMNS: Final = 8  # of a sheet
GAP_PX: Final = 8  # between its best and its worst pictures


@dataclass(frozen=True)
class RankOptions:
    """How to rank.

    Args:
        by: What orders the seeds; None for the discriminator if there is one, else realism.
        mix: Realism's share of a mixture, 0 to 1.
        reals: Real pictures to compare with at most, evenly spaced in the dataset.
    """

    by: By | None = None
    mix: float = 0.5
    reals: int = MOST_REALS


@dataclass(frozen=True)
class Score:
    """What is measured of one picture.

    Args:
        seed: Its seed.
        logit: The discriminator's score, higher for real pictures.
        logit_percentile: Share of the real pictures that score lower, in percent.
        distance: Mean distance to the 5 nearest real pictures, in the space of the evaluation's precision and recall.
        distance_percentile: Share of the real pictures that are farther from the others, in percent.
        nearest: The nearest real picture by its pixels, as a name in the dataset.
        copy: Whether it is a copy of that one: much nearer to it than to the next ones, compared with what is usual
            among real pictures.
    """

    seed: int
    logit: float | None = None
    logit_percentile: float | None = None
    distance: float | None = None
    distance_percentile: float | None = None
    nearest: str | None = None
    copy: bool = False


# --------------------------------------------------------------------------------------------
# The discriminator


def read_discriminator(path: Path, *, second: bool = False) -> nn.Module:
    """Read a discriminator from a folder of `metagan train`, or from a weights file that has one.

    Args:
        path: The run's folder, or any file with a discriminator that metagan reads.
        second: Whether to take the second of a run with two.

    Raises:
        OptionError: If the second is asked for, and there is one discriminator only.
        CheckpointError, TrainingError: If there is none, or it can't be read.
    """
    if second and not has_second(path):
        raise OptionError(
            "--second: this has one discriminator only",
            where=path,
            fix="leave --second out, or give a run with --dual",
        )
    folder = RunFolder(path)
    if not path.is_dir() or not has_state(folder.state):
        if not path.exists():
            raise OptionError(
                "there is no such file or run folder", where=path, fix="give one with a discriminator"
            )
        return load_discriminator(read_checkpoint(path))
    config = read_config(folder).discriminator
    state = read_last_state(folder.state).tensors
    prefix = "second/" if second else "discriminator/"
    own = {name.removeprefix(prefix): each for name, each in state.items() if name.startswith(prefix)}

    def make() -> nn.Module:
        return DCGANDiscriminator(config) if isinstance(config, DCGANConfig) else Discriminator(config)

    with torch.device("meta"):
        names = make().state_dict().keys()
    return assemble(make, {name: own[name] for name in names if name in own})


def require_discriminator(path: str | Path | None, second: bool) -> None:
    """Refuse to take the second of no discriminators."""
    if second and path is None:
        raise OptionError("--second: there is no discriminator", fix="give --discriminator RUN")


def has_second(path: Path) -> bool:
    """Return whether a run was trained against two discriminators."""
    folder = RunFolder(path)
    return path.is_dir() and has_state(folder.state) and read_config(folder).dual is not None


def _takes(network: nn.Module) -> tuple[int, int, int]:
    """Return channels, height and width of the pictures that a discriminator takes."""
    if isinstance(network, DCGANDiscriminator):
        height, width, channels = network.config.inputs
        return channels, height, width
    if isinstance(network, Discriminator):
        return network.config.image_channels, network.config.size.height, network.config.size.width
    if isinstance(network, LucidrainsDiscriminator | R3GANDiscriminator):
        side = network.config.resolution
        return network.config.image_channels, side, side
    raise AssertionError(f"no discriminator that metagan reads: {type(network).__name__}")


def _classes(network: nn.Module) -> int:
    if isinstance(network, Discriminator):
        return network.config.label_mapping.c_dim if network.config.label_mapping else 0
    return network.config.c_dim if isinstance(network, R3GANDiscriminator) else 0


class Scorer:
    """Scores pictures by a discriminator, each independently of all others.

    Args:
        network: The discriminator.
        companions: Fixed pictures [n, h, w, ch] that stand for the rest of a training batch.
        device: Where to compute.
        label: The label of a conditional discriminator, [c_dim].

    Raises:
        OptionError: If the companions have another size than the discriminator takes, or the class is missing.
    """

    def __init__(
        self,
        network: nn.Module,
        companions: UInt8[np.ndarray, "n h w ch"],
        device: torch.device,
        label: Float[Tensor, " c_dim"] | None = None,
    ) -> None:
        channels, height, width = _takes(network)
        there = companions.shape[1:]
        if there != (height, width, channels):
            raise OptionError(
                f"the discriminator takes pictures of {width}x{height} pixels and {counted(channels, 'channel')}, "
                f"and these have {there[1]}x{there[0]} and {there[2]}",
                fix="give the discriminator that was trained together with this generator",
            )
        self.network, self.device = network.to(device), device
        classes = _classes(network)
        if classes and (label is None or len(label) != classes):
            raise OptionError(
                f"the discriminator takes labels of width {classes}, and the generator has "
                f"{'none' if label is None else len(label)}",
                fix="give the discriminator that was trained together with this generator",
            )
        self._label = label.to(device) if classes and label is not None else None
        self._features: list[tuple[Tensor, Tensor | None]] = []
        if isinstance(network, Discriminator) and network.config.std_channels:
            size = (network.config.group_size or GROUP_OF_WHOLE_BATCH) - 1
            self._features = [
                self._companions(network, companions[np.arange(start, start + size) % len(companions)])
                for start in range(0, min(COMPANIONS * size, len(companions)), max(1, size))
            ]

    @torch.inference_mode()
    def _companions(
        self, network: Discriminator, pictures: NDArray[np.uint8]
    ) -> tuple[Tensor, Tensor | None]:
        with exact_convolutions():
            return network.features(_to_images(pictures, self.device))

    @torch.inference_mode()
    def __call__(self, pictures: UInt8[np.ndarray, "n h w ch"]) -> Float[np.ndarray, " n"]:
        """Return the logits of pictures; those of Keras' DCGANs are probabilities."""
        rows = []
        with exact_convolutions():
            for start in range(0, len(pictures), BATCH):
                images = _to_images(pictures[start : start + BATCH], self.device)
                label = None if self._label is None else self._label.expand(len(images), -1)
                rows.append(self._logits(images, label))
        return torch.cat(rows).double().cpu().numpy()

    def _logits(self, images: Tensor, label: Tensor | None) -> Tensor:
        if isinstance(self.network, DCGANDiscriminator):
            single: Tensor = self.network(images)
            return single[:, 0]
        if not self._features or not isinstance(self.network, Discriminator):
            plain: Tensor = self.network(images, label)
            return plain[:, 0]
        x, image = self.network.features(images)
        whole_batch = self.network.config.group_size is None
        step = 1 if whole_batch else len(x)
        scores = [
            self._in_group(
                self.network,
                x[start : start + step],
                None if image is None else image[start : start + step],
                None if label is None else label[start : start + step],
            )
            for start in range(0, len(x), step)
        ]
        return torch.cat(scores)

    def _in_group(
        self, network: Discriminator, x: Tensor, image: Tensor | None, label: Tensor | None
    ) -> Tensor:
        """Score pictures, each grouped with the same companions: picture i is in group i of strided groups ([1])."""
        total = torch.zeros(len(x), device=x.device)
        for features, small in self._features:
            group = 1 + len(features)
            others = features.repeat_interleave(len(x), dim=0)
            both = (
                None
                if image is None or small is None
                else torch.cat([image, small.repeat_interleave(len(x), dim=0)])
            )
            repeated = None if label is None else label.repeat(group, 1)
            total += network.logits(torch.cat([x, others]), both, repeated)[: len(x), 0]
        return total / len(self._features)


def _to_images(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Convert bytes [n, h, w, ch] to what networks are trained on: [n, ch, h, w] within [-1, 1]."""
    return (
        torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).to(device).float() / 127.5 - 1
    )


# --------------------------------------------------------------------------------------------
# Real pictures


class Reals:
    """Distances from pictures to a dataset's.

    Args:
        pictures: Real pictures [n, 3, h, w], at least 2.
        names: Their names.
        device: Where to compute.
    """

    def __init__(self, pictures: NDArray[np.uint8], names: Sequence[str], device: torch.device) -> None:
        self.names = tuple(map(text_of, names))
        self._space = FeatureSpace.of(pictures, device)
        self._places = self._space.place(pictures)
        self._small = _shrunk(pictures).to(device)
        own = torch.cdist(self._places, self._places)
        own.fill_diagonal_(torch.inf)
        self._distances = np.sort(_mean_of_nearest(own, min(NEAREST, len(own) - 1)))
        usual = self._usual_closeness()
        self._copy_share = min(COPY_SHARE, max(LEAST_COPY_SHARE, COPY_SHARE * usual))

    def _usual_closeness(self) -> float:
        """Return the closeness that one real picture of twenty exceeds, of at most 1,000."""
        rows = torch.tensor(
            evenly_spaced(len(self._small), min(1000, len(self._small))), device=self._small.device
        )
        own = torch.cdist(self._small[rows], self._small)
        own[torch.arange(len(rows), device=own.device), rows] = torch.inf
        return float(_closeness(own).quantile(COPY_QUANTILE))

    def measure(self, pictures: UInt8[np.ndarray, "n 3 h w"]) -> Iterator[tuple[float, float, str, bool]]:
        """Yield each picture's distance, its percentile, the name of the nearest real one, and whether it is a copy."""
        between = torch.cdist(self._space.place(pictures), self._places)
        distances = _mean_of_nearest(between, min(NEAREST, between.shape[1]))
        pixels = torch.cdist(_shrunk(pictures).to(self._small.device), self._small)
        nearest = pixels.argmin(dim=1)
        copies = _closeness(pixels) <= self._copy_share
        for row, distance in enumerate(distances):
            farther = len(self._distances) - np.searchsorted(self._distances, distance, side="left")
            name = self.names[int(nearest[row])]
            yield (
                float(distance),
                100 * float(farther) / len(self._distances),
                name,
                bool(copies[row]),
            )


def _mean_of_nearest(distances: Tensor, count: int) -> NDArray[np.float64]:
    nearest: NDArray[np.float64] = (
        distances.topk(count, dim=1, largest=False).values.mean(dim=1).double().cpu().numpy()
    )
    return nearest


def _closeness(distances: Tensor) -> Tensor:
    """Return the distance to the nearest picture as a share of the mean to the 50 nearest ([3]); 1 if there is one."""
    finite = int(torch.isfinite(distances[0]).sum())
    near = distances.topk(min(COPY_NEIGHBOURS, finite), dim=1, largest=False).values
    return near[:, 0] / near.mean(dim=1).clamp(min=1e-12)


def _shrunk(pictures: NDArray[np.uint8]) -> Tensor:
    images = torch.from_numpy(np.ascontiguousarray(pictures)).float()
    side = min(COPY_SIDE, images.shape[-1])
    return nn.functional.adaptive_avg_pool2d(images, side).flatten(1) / 255


# --------------------------------------------------------------------------------------------
# Ranking


class Ranker:
    """Scores a generator's seeds.

    Args:
        sampler: What draws.
        settings: How to draw.
        options: How to rank.
        discriminator: From `read_discriminator`, or None.
        dataset: Real pictures, or None.
        advance: Called with the number of further real pictures that were read.

    Raises:
        OptionError: If there is neither discriminator nor dataset, one doesn't fit the generator, or `by` needs what
            isn't there.
    """

    def __init__(
        self,
        sampler: Sampler,
        settings: Settings,
        options: RankOptions,
        *,
        discriminator: nn.Module | None = None,
        dataset: PictureSource | None = None,
        advance: Callable[[int], None] = lambda _: None,
    ) -> None:
        settings = replace(settings, label=chosen_label(sampler.generator, settings.label))
        self.sampler, self.settings, self.options = sampler, settings, options
        self.by: By = options.by or ("realism" if discriminator is None else "discriminator")
        _require_measures(self.by, discriminator is not None, dataset is not None)
        if not 0 <= options.mix <= 1:
            raise OptionError(f"mix {options.mix:g}: want a number from 0 to 1", fix="give one of those")
        row = labels(sampler.generator, settings.label, 1)  # refused before real pictures are read
        self._reals: Reals | None = None
        self._scorer: Scorer | None = None
        self._real_logits: NDArray[np.float64] | None = None
        digest = hashlib.sha256(fingerprint(sampler.generator).encode())
        real: NDArray[np.uint8] | None = None
        if dataset is not None:
            chosen = _chosen(sampler, dataset, settings, options)
            rows = []
            for index in chosen:
                rows.append(dataset.pixels(index))
                advance(1)
            real = np.stack(rows)
            digest.update(real.tobytes())
            self._reals = Reals(real, [dataset.names[index] for index in chosen], sampler.device)
        if discriminator is not None:
            channels_last = self._mean_pictures() if real is None else real.transpose(0, 2, 3, 1)
            fixed = (
                channels_last if real is None else channels_last[evenly_spaced(len(real), min(len(real), 64))]
            )
            label = None if row is None else row[0]
            self._scorer = Scorer(discriminator, np.ascontiguousarray(fixed), sampler.device, label)
            for name, tensor in sorted(discriminator.state_dict().items()):
                digest.update(name.encode() + tensor.detach().float().cpu().contiguous().numpy().tobytes())
            if real is not None:
                self._real_logits = np.sort(self._scorer(np.ascontiguousarray(channels_last)))
        digest.update(json.dumps(asdict(settings) | {"upscaled": sampler.upscaler is not None}).encode())
        if sampler.precision != "fp32":
            digest.update(sampler.precision.encode())
        self.task = digest.hexdigest()

    def _mean_pictures(self) -> NDArray[np.uint8]:
        """Return the picture of the mean style, or the mean of 64 pictures where there is no mean style."""
        if mean_style(self.sampler.generator) is not None:
            one = next(self.sampler.pictures([0], replace(self.settings, psi=0.0)))[1]
            return one[None]
        rows = [picture for _, picture in self.sampler.pictures(range(64), self.settings)]
        mean: NDArray[np.uint8] = np.stack(rows).mean(axis=0, keepdims=True).round().astype(np.uint8)
        return mean

    def score(self, seeds: Sequence[int]) -> Iterator[Score]:
        """Yield the score of each seed's picture, in order; memory doesn't grow with their number."""
        waiting: list[tuple[int, Picture]] = []
        for each in self.sampler.pictures(seeds, self.settings):
            waiting.append(each)
            if len(waiting) == BATCH:
                yield from self._measure(waiting)
                waiting = []
        if waiting:
            yield from self._measure(waiting)

    def _measure(self, drawn: Sequence[tuple[int, Picture]]) -> Iterator[Score]:
        pictures = np.stack([picture for _, picture in drawn])
        scores = [Score(seed) for seed, _ in drawn]
        if self._scorer is not None:
            logits = self._scorer(pictures)
            scores = [replace(score, logit=float(logit)) for score, logit in zip(scores, logits, strict=True)]
            if self._real_logits is not None:
                below = np.searchsorted(self._real_logits, logits, side="left") * 100 / len(self._real_logits)
                scores = [replace(s, logit_percentile=float(p)) for s, p in zip(scores, below, strict=True)]
        if self._reals is not None:
            measured = self._reals.measure(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))
            scores = [
                replace(
                    score, distance=distance, distance_percentile=percentile, nearest=nearest, copy=is_copy
                )
                for score, (distance, percentile, nearest, is_copy) in zip(scores, measured, strict=True)
            ]
        yield from scores

    def order(self, scores: Sequence[Score]) -> list[Score]:
        """Return scores from the best to the worst; a mixture is that of places among these scores."""
        return order(scores, self.by, self.options.mix)

    def percentile(self, score: Score) -> float | None:
        """Return where a picture stands among real ones by what orders the seeds, in percent; None without reals."""
        logit, distance = score.logit_percentile, score.distance_percentile
        if self.by == "mixture" and logit is not None and distance is not None:
            return (1 - self.options.mix) * logit + self.options.mix * distance
        return distance if self.by == "realism" else logit


def order(scores: Sequence[Score], by: By, mix: float = 0.5) -> list[Score]:
    """Return scores from the best to the worst; those that tie stay in the order of their seeds."""
    logits = np.array([score.logit or 0.0 for score in scores])
    nearness = -np.array([score.distance or 0.0 for score in scores])
    values = {"discriminator": logits, "realism": nearness}.get(by)
    if values is None:
        values = (1 - mix) * _places(logits) + mix * _places(nearness)
    return [scores[index] for index in np.argsort(-values, kind="stable")]


def _places(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each value's place from the lowest, 0, to the highest, 1."""
    return values.argsort(kind="stable").argsort(kind="stable") / max(1, len(values) - 1)


def _require_measures(by: By, has_discriminator: bool, has_reals: bool) -> None:
    if not has_discriminator and not has_reals:
        raise OptionError(
            "nothing to rank by: neither a discriminator nor real pictures",
            fix="give --discriminator RUN_OR_FILE, --data PICTURES.zip, or both",
        )
    if by != "realism" and not has_discriminator:
        raise OptionError(f"--by {by}: there is no discriminator", fix="give --discriminator RUN_OR_FILE")
    if by != "discriminator" and not has_reals:
        raise OptionError(f"--by {by}: there are no real pictures", fix="give --data PICTURES.zip")


def _chosen(sampler: Sampler, dataset: PictureSource, settings: Settings, options: RankOptions) -> list[int]:
    """Return the indices of the real pictures to compare with: evenly spaced, of the label if there is one."""
    channels = sampler.generator.image_channels
    if (sampler.size, channels) != (dataset.size, 3):
        raise OptionError(
            f"its pictures are {dataset.size} RGB, but the generator draws {sampler.size} pixels, "
            f"{counted(channels, 'channel')}",
            where=dataset.path,
            fix=f"pack the pictures with `metagan dataset pack --resolution {sampler.size.as_option}`",
        )
    there = list(range(len(dataset)))
    if sampler.generator.c_dim and dataset.label_count == sampler.generator.c_dim:
        row = labels(sampler.generator, settings.label, 1)
        there = [
            index
            for index in there
            if row is not None and np.array_equal(dataset.label(index), row[0].numpy())
        ]
    if len(there) < 2:
        raise OptionError(
            f"{counted(len(there), 'real picture')} to compare with: want at least 2",
            where=dataset.path,
            fix="give more",
        )
    return [there[index] for index in evenly_spaced(len(there), min(options.reals, len(there)))]


# --------------------------------------------------------------------------------------------
# The journal of an interrupted ranking: a line of JSON a picture


def score_all(
    ranker: Ranker,
    seeds: Sequence[int],
    journal: Path | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Score]:
    """Score seeds, going on where an interrupted call stopped.

    Args:
        ranker: What scores.
        seeds: The seeds.
        journal: A file to which each score is appended as a line of JSON, or None.
        advance: Called with the number of further pictures scored, or found in the journal.

    Returns:
        The scores in the order of the seeds.

    Raises:
        OptionError: If the journal is of another generator, discriminator, dataset or psi.
        MalformedFileError: If it can't be read.
    """
    known = {} if journal is None else _read_journal(journal, ranker.task)
    wanted = set(seeds)
    known = {seed: score for seed, score in known.items() if seed in wanted}
    advance(len(known))
    left = [seed for seed in seeds if seed not in known]
    if journal is None:
        for score in ranker.score(left):
            known[score.seed] = score
            advance(1)
    else:
        journal.parent.mkdir(parents=True, exist_ok=True)
        with journal.open("a", encoding="utf-8") as file:
            for score in ranker.score(left):
                known[score.seed] = score
                file.write(json.dumps(asdict(score)) + "\n")
                advance(1)
    return [known[seed] for seed in seeds]


def _read_journal(path: Path, task: str) -> dict[int, Score]:
    """Read a journal, or begin one. An incomplete last line, of a run that was killed, is removed."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"task": task}) + "\n", encoding="utf-8")
        return {}
    whole, _, torn = read_bytes(path).rpartition(b"\n")
    try:
        first, *rows = whole.split(b"\n")
        head: object = json.loads(first)
        scores = [TypeAdapter(Score).validate_json(row) for row in rows]
    except (ValueError, ValidationError) as error:
        raise MalformedFileError(
            "no scores that `metagan rank` wrote", where=path, fix="choose another file for --scores"
        ) from error
    if not isinstance(head, Mapping) or head.get("task") != task:
        raise OptionError(
            "holds scores of another generator, discriminator, dataset or psi",
            where=path,
            fix="choose another file for --scores, or remove this one",
        )
    if torn:
        with path.open("r+b") as file:
            file.truncate(len(whole) + 1)
    return {score.seed: score for score in scores}


# --------------------------------------------------------------------------------------------
# Results


def without_copies(ordered: Sequence[Score], keep: int) -> list[Score]:
    """Return the first `keep` scores of pictures that copy no real one.

    Raises:
        OptionError: If all are copies.
    """
    kept = [score for score in ordered if not score.copy][:keep]
    if not kept:
        raise OptionError("every picture is a copy of a real one", fix="keep them with --keep-copies")
    return kept


def sheet_size(size: Size, seeds: int, shown: int = SHOWN) -> Size:
    """The size of a sheet, before ranking so many seeds' pictures of a size."""
    count = min(shown, seeds)
    columns = min(count, COLUMNS)
    return Size(columns * size.width, 2 * math.ceil(count / columns) * size.height + GAP_PX)


def sheet(ranker: Ranker, ordered: Sequence[Score], shown: int = SHOWN) -> NDArray[np.uint8]:
    """Draw the best pictures above, and the worst below, with a white line between."""
    count = min(shown, len(ordered))
    blocks = []
    for part in (ordered[:count], ordered[-count:]):
        drawn = (
            to_frame(picture)
            for _, picture in ranker.sampler.pictures([s.seed for s in part], ranker.settings)
        )
        blocks.append(contact_sheet(drawn, count, min(count, COLUMNS)))
    gap = np.full((GAP_PX, blocks[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([blocks[0], gap, blocks[1]], axis=0)


def describe_score(score: Score) -> str:
    """Return one line of text about a picture."""
    parts = [f"seed {score.seed}"]
    if score.logit is not None:
        at = (
            ""
            if score.logit_percentile is None
            else f" (above {score.logit_percentile:.0f}% of real pictures)"
        )
        parts.append(f"discriminator {score.logit:.3f}{at}")
    if score.distance is not None and score.distance_percentile is not None:
        parts.append(
            f"distance {score.distance:.3f} (nearer than {score.distance_percentile:.0f}% of real pictures)"
        )
    if score.copy:
        parts.append(f"a copy of {score.nearest}")
    return ", ".join(parts)
