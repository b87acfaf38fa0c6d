"""What a user asks for, with everything left to us decided: options and pictures to a run's configuration."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Literal

import torch

from metagan.errors import OptionError
from metagan.sampling.precision import multiplies_bfloat16
from metagan.training.augment.augmenter import GROUPS
from metagan.training.data_loader import Pictures, fingerprint
from metagan.training.distributed import World
from metagan.training.networks import Networks, networks_from, new_networks
from metagan.training.recipe import (
    PRESETS,
    Augmentation,
    Preset,
    Recipe,
    TrainPrecision,
    choose_batch,
    choose_gamma,
    choose_pace,
    choose_preset,
    discriminator_config,
    generator_config,
)
from metagan.training.run_folder import FormerPace, RunConfig

MICRO_BATCH_PIXELS = {"cuda": 2**21, "mps": 2**19, "cpu": 2**19}  # pixels at once, when left to us
GROUP = 4  # pictures a minibatch-std group
D_WARMUP_KIMG = 10.0  # what a new discriminator is given to catch up with a trained generator


@dataclass(frozen=True)
class Options:
    """A run as asked for; None leaves the choice to us. See Recipe for what each means.

    Args:
        data: The pictures' path, to record.
        preset: Widths by name.
        start: Weights to start from.
        licence: To record in the snapshots.
        source: To record in the snapshots.
    """

    data: str
    preset: Preset | Literal["auto"] = "auto"
    start: Path | None = None
    licence: str = "unknown"
    source: str = ""
    seed: int = 0
    batch: int | None = None
    micro_batch: int | None = None
    learning_rate: float | None = None
    lr_decay_kimg: float | None = None
    discriminator_rate: float = 1.0
    gamma: float | None = None
    path_weight: float | None = None
    style_mixing: float | None = None
    ema_kimg: float | None = None
    mirror: bool = False
    augmentation: Augmentation = "adaptive"
    augment_groups: tuple[str, ...] = ("blit", "geometry", "colour")
    augment_p: float = 0.0
    augment_target: float = 0.6
    augment_kimg: float = 500.0
    freeze_d: int = 0
    d_warmup_kimg: float | None = None
    precision: TrainPrecision | Literal["auto"] = "auto"


def begin(options: Options, pictures: Pictures, world: World) -> tuple[RunConfig, Networks]:
    """A new run's configuration and networks.

    Raises:
        OptionError: Options that don't fit each other, the pictures or the world.
        CheckpointError: The weights to start from can't be used.
    """
    resolution, c_dim = pictures.resolution, pictures.label_count
    preset = options.preset
    if preset == "auto":
        preset = choose_preset(resolution, world.device.type, len(pictures))
    if options.start is not None:
        networks, has_critic = networks_from(options.start, resolution, c_dim, options.seed)
    else:
        shape, has_critic = generator_config(PRESETS[preset], resolution, c_dim), False
        networks = new_networks(shape, discriminator_config(shape), options.seed)
    if options.freeze_d and not has_critic:
        msg = "--freeze-d keeps a trained discriminator's layers; give --start a file that has one, or leave it out"
        raise OptionError(msg)
    recipe = _recipe(options, pictures, world, networks, has_critic=has_critic)
    config = RunConfig(
        data=options.data,
        pictures=len(pictures),
        fingerprint=fingerprint(pictures),
        recipe=recipe,
        generator=networks.generator.config,
        discriminator=networks.discriminator.config,
        preset="start" if options.start else preset,
        start=None if options.start is None else str(options.start),
        licence=options.licence,
        source=options.source,
    )
    return config, networks


def again(config: RunConfig) -> Networks:
    """Networks of a continued run's shape; its state file has the weights."""
    return new_networks(config.generator, config.discriminator, config.recipe.seed)


def refuse_changes(config: RunConfig, options: Options, given: Collection[str]) -> None:
    """Refuse options that a continued run was not started with.

    Args:
        config: What it was started with.
        options: What is asked for now.
        given: The fields of `options` that were given explicitly.

    Raises:
        OptionError: All of them, with both values.
    """
    was = asdict(config) | asdict(config.recipe)
    now = asdict(options) | {"start": None if options.start is None else str(options.start)}
    wrong = [
        f"{field.name}: this run has {was[field.name]}, asked for {now[field.name]}"
        for field in fields(options)
        if field.name in given and now[field.name] not in (None, "auto", was[field.name])
    ]
    if wrong:
        text = "\n  ".join(wrong)
        raise OptionError(text, fix="leave these out to go on, or choose another --out for a new run")


def change_pace(config: RunConfig, options: Options, seen: int) -> RunConfig:
    """A continued run's configuration with the learning rate and R1's weight that are asked for now.

    What they were before is kept beside. A rate that is asked for stays, unless a decay is asked for as well, as at a
    run's beginning.

    Args:
        config: What it has been until now.
        options: What is asked for now; None keeps what is.
        seen: Pictures until now.
    """
    recipe = config.recipe
    rate = options.learning_rate or recipe.learning_rate
    held = recipe.lr_decay_kimg if rate == recipe.learning_rate else 0.0
    decay = _or(options.lr_decay_kimg, held)
    changed = replace(recipe, learning_rate=rate, lr_decay_kimg=decay, gamma=options.gamma or recipe.gamma)
    if changed == recipe:
        return config
    former_rates, kimg = config.former_rates, seen / 1000
    used = not former_rates or former_rates[-1].until_kimg < kimg  # else it was changed here before
    if used:
        former = FormerPace(kimg, recipe.learning_rate, recipe.lr_decay_kimg, recipe.gamma)
        former_rates = (*former_rates, former)
    return replace(config, recipe=changed, former_rates=former_rates)


def _recipe(
    options: Options, pictures: Pictures, world: World, networks: Networks, *, has_critic: bool
) -> Recipe:
    device = world.device.type
    batch = options.batch or choose_batch(pictures.resolution, world.size, device)
    local = world.share(batch)
    most = max(GROUP, MICRO_BATCH_PIXELS.get(device, 2**19) // pictures.resolution**2)
    most_channels = max(networks.discriminator.config.channels)
    warmup_kimg = D_WARMUP_KIMG if options.start is not None and not has_critic else 0.0
    _require_groups(options.augment_groups)
    pace = choose_pace(batch, max(networks.generator.config.channels), trained=options.start is not None)
    # A rate that was asked for stays, unless a decay is asked for as well.
    decay = pace.lr_decay_kimg if options.learning_rate is None else 0.0
    recipe = Recipe(
        seed=options.seed,
        batch=batch,
        micro_batch=min(local, options.micro_batch or most),
        learning_rate=options.learning_rate or pace.learning_rate,
        lr_decay_kimg=_or(options.lr_decay_kimg, decay),
        discriminator_rate=options.discriminator_rate,
        gamma=options.gamma or choose_gamma(pictures.resolution, batch, most_channels),
        path_weight=_or(options.path_weight, pace.path_weight),
        style_mixing=_or(options.style_mixing, pace.style_mixing),
        ema_kimg=options.ema_kimg or batch * 10 / 32,
        # A trained generator's average is worth keeping from the first step on.
        ema_rampup=0.05 if options.start is None else 0.0,
        mirror=options.mirror,
        augmentation=options.augmentation,
        augment_groups=options.augment_groups,
        augment_p=options.augment_p,
        augment_target=options.augment_target,
        augment_kimg=options.augment_kimg,
        freeze_d=options.freeze_d,
        d_warmup_kimg=_or(options.d_warmup_kimg, warmup_kimg),
        precision=choose_precision(device) if options.precision == "auto" else options.precision,
    )
    _require_whole_groups(local, recipe.micro_batch)
    return recipe


def _or(asked: float | None, ours: float) -> float:
    """What was asked for, 0 included; else ours."""
    return ours if asked is None else asked


def choose_precision(device: str) -> TrainPrecision:
    """bf16 where the device multiplies in it, else fp32."""
    return "bf16" if multiplies_bfloat16(torch.device(device)) else "fp32"


def _require_groups(groups: tuple[str, ...]) -> None:
    unknown = [name for name in groups if name not in GROUPS]
    if unknown:
        msg = f"--augment-groups: unknown {', '.join(unknown)}; want some of {', '.join(GROUPS)}"
        raise OptionError(msg)


def _require_whole_groups(local: int, micro_batch: int) -> None:
    """Refuse batches that minibatch std can't divide into its groups."""
    sizes = {micro_batch, local % micro_batch or micro_batch}
    if any(size > GROUP and size % GROUP for size in sizes):
        msg = f"a batch of {local} on each device in portions of {micro_batch}: want multiples of {GROUP} (or less)"
        raise OptionError(f"{msg}; choose --batch and --micro-batch so")
