"""Turns options and pictures into a run's configuration, resolving everything that is "auto"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch

from metagan.errors import OptionError
from metagan.networks.dcgan.network import Config as DCGANConfig
from metagan.sampling.precision import multiplies_bfloat16
from metagan.training.augment import GROUPS
from metagan.training.data_loader import Pictures, fingerprint
from metagan.training.distributed import World
from metagan.training.networks import (
    DCGANNetworks,
    Networks,
    StyleGAN2Networks,
    networks_from,
    new_networks,
    with_second,
)
from metagan.training.options import ArchitectureName, Preset, Recipe, TrainOptions, TrainPrecision, flag_of
from metagan.training.recipe import (
    DCGAN_BASE,
    DCGAN_BATCH,
    GROUP,
    PRESETS,
    choose_batch,
    choose_dcgan,
    choose_gamma,
    choose_pace,
    choose_preset,
    dcgan_config,
    dcgan_discriminator_config,
    discriminator_config,
    generator_config,
)
from metagan.training.run_folder import FormerPace, RunConfig, SecondPictures, record_change
from metagan.training.state import is_state, read_last_state
from metagan.values import Size, counted

MICRO_BATCH_PIXELS = {"cuda": 2**21, "mps": 2**19, "cpu": 2**19}  # pixels per micro-batch by default
D_WARMUP_KIMG = 10.0  # warm-up of a new discriminator beside a trained generator


def begin(
    options: TrainOptions, pictures: Pictures, world: World, second: Pictures | None = None
) -> tuple[RunConfig, Networks]:
    """Create a new run's configuration and networks.

    Args:
        options: What was asked for.
        pictures: What it learns from.
        world: Who takes part.
        second: The pictures of a second discriminator.

    Raises:
        OptionError: If options don't fit each other, the pictures or the number of processes.
        CheckpointError: If the initial weights can't be used.
    """
    refuse_foreign_options(options, dual=second is not None)
    size, c_dim, seed = pictures.size, pictures.label_count, options.recipe.seed
    preset = options.preset
    if preset == "auto":
        preset = choose_preset(size, world.device.type, len(pictures))
    has_discriminator = False
    if options.start is not None:
        networks, has_discriminator = networks_from(options.start, size, c_dim, seed, options.architecture)
    elif options.architecture == "dcgan":
        networks = _new_dcgan(preset, size, seed, transposed=options.upsampling == "transposed")
    else:
        shape = generator_config(PRESETS[preset], size, c_dim)
        networks = new_networks(shape, discriminator_config(shape), seed)
    if second is not None:
        require_same_size(pictures, second)
        networks, has_discriminator = with_second(networks, seed), False
    if options.recipe.freeze_d and not has_discriminator:
        raise OptionError(
            "--freeze-d keeps a trained discriminator's layers, and there is none",
            fix="give --start a file that has one, or leave --freeze-d out",
        )
    recipe = _recipe(options, pictures, world, networks, has_discriminator=has_discriminator)
    if options.start is not None and is_state(options.start) and "augment_p" not in options.given:
        recipe = replace(recipe, augment_p=float(read_last_state(options.start).facts["augment_p"]))
    config = RunConfig(
        data=str(options.data),
        pictures=len(pictures),
        fingerprint=fingerprint(pictures),
        recipe=recipe,
        generator=networks.shapes[0],
        discriminator=networks.shapes[1],
        preset="start" if options.start else preset,
        start=None if options.start is None else str(options.start),
        licence=options.licence,
        source=options.source,
        dual=None if second is None else second_pictures(options, second),
    )
    return config, networks


def second_pictures(options: TrainOptions, pictures: Pictures) -> SecondPictures:
    """Describe a second discriminator's pictures for the configuration."""
    return SecondPictures(str(options.dual), len(pictures), fingerprint(pictures))


def require_same_size(pictures: Pictures, second: Pictures) -> None:
    """Refuse two collections that one generator can't draw.

    Raises:
        OptionError: If their pictures have different sizes.
    """
    if pictures.size != second.size:
        raise OptionError(
            f"--dual: its pictures are {second.size} pixels, the others {pictures.size}",
            fix=f"pack them with `metagan dataset pack --resolution {pictures.size.as_option}`",
        )


def _new_dcgan(preset: Preset, size: Size, seed: int, *, transposed: bool) -> Networks:
    if preset not in DCGAN_BASE:
        raise OptionError(
            f"--preset {preset}: it is made for live pages, which draw StyleGAN2 only",
            fix=f"choose {', '.join(DCGAN_BASE)}",
        )
    base = DCGAN_BASE[preset]
    if not size.doublings:
        raise OptionError(
            f"pictures of {size} pixels: a DCGAN doubles features of {size.coarsest} at least once",
            fix="pack them at a larger --resolution",
        )
    return new_networks(
        dcgan_config(base, size, transposed=transposed), dcgan_discriminator_config(base, size), seed
    )


FOREIGN: Mapping[ArchitectureName, frozenset[str]] = {
    "stylegan2": frozenset({"dropout", "upsampling"}),
    "dcgan": frozenset({"gamma", "path_weight", "style_mixing", "labels"}),
}
"""Options that an architecture has no use for."""


OF_NEW_NETWORKS = frozenset({"preset", "upsampling"})
"""Options that decide new networks' shapes."""


OF_DUAL = frozenset({"join"})
NOT_OF_DUAL = frozenset({"freeze_d", "labels"})
"""Options that only make sense with --dual, and that make none with it."""


def refuse_foreign_options(options: TrainOptions, *, dual: bool) -> None:
    """Refuse options that say nothing about this kind of run.

    Args:
        options: What was asked for.
        dual: Whether there are two discriminators.

    Raises:
        OptionError: If any was given. The message names all of them.
    """
    if foreign := sorted(options.given & FOREIGN[options.architecture] - options.auto):
        names = ", ".join(map(flag_of, foreign))
        raise OptionError(
            f"of no use with --architecture {options.architecture}", where=names, fix="leave it out"
        )
    if options.start is not None and (shapes := options.given & OF_NEW_NETWORKS):
        names = ", ".join(sorted(flag_of(name) for name in shapes if getattr(options, name) != "auto"))
        if names:
            raise OptionError(
                "of no use with --start, whose networks stay as they are", where=names, fix="leave it out"
            )
    if foreign := sorted(options.given & (NOT_OF_DUAL if dual else OF_DUAL)):
        names = ", ".join(map(flag_of, foreign))
        raise OptionError(
            f"of no use {'with' if dual else 'without'} --dual", where=names, fix="leave it out"
        )


def networks_for_resume(config: RunConfig) -> Networks:
    """Create networks for a resumed run; their weights come from its state file."""
    networks = new_networks(config.generator, config.discriminator, config.recipe.seed)
    return networks if config.dual is None else with_second(networks, config.recipe.seed)


PACE = frozenset({"learning_rate", "lr_decay_kimg", "gamma"})
"""What may change from one call to the next."""


FIXED = frozenset({"architecture", "upsampling", "preset", "start"})
"""What decides the networks' shapes, and never changes."""


def refuse_changes(config: RunConfig, options: TrainOptions, processes: int = 1) -> None:
    """Refuse options that differ from those a resumed run was started with.

    Portions of the batch differ if a process would take other ones.

    Args:
        config: Its configuration.
        options: The options given now.
        processes: Number of processes that go on with it.

    Raises:
        OptionError: If any differ that may not, which are few with --change. The message names all of them with both
            values.
    """
    refuse_foreign_options(replace(options, architecture=config.architecture), dual=config.dual is not None)
    was: dict[str, Any] = asdict(config.recipe) | {
        "architecture": config.architecture,
        "upsampling": config.upsampling,
        "preset": config.preset,
        "start": config.start,
        "licence": config.licence,
        "source": config.source,
    }
    now: dict[str, Any] = asdict(options.recipe) | {
        "architecture": options.architecture,
        "upsampling": options.upsampling,
        "preset": options.preset,
        "start": None if options.start is None else str(options.start),
        "licence": options.licence,
        "source": options.source,
    }
    asked = [name for name in now if name in options.given - options.auto - PACE and now[name] != "auto"]
    local = config.recipe.batch // processes
    portions = [min(recipe.micro_batch, local) for recipe in (config.recipe, options.recipe)]
    same = {"micro_batch"} if len(set(portions)) == 1 else set[str]()
    wrong = [name for name in asked if now[name] != was[name] and name not in same]
    if options.change:
        wrong = [name for name in wrong if name in FIXED]
    if wrong:
        text = "\n  ".join(f"{name}: this run has {was[name]}, asked for {now[name]}" for name in wrong)
        raise OptionError(text, fix=way_out(fixed=bool(FIXED.intersection(wrong))))


def way_out(*, fixed: bool) -> str:
    """Say what to do about options that differ from a run's; some are fixed for good."""
    add = "" if fixed else "add --change to go on with what is asked for, "
    return f"leave these out to go on, {add}or choose another --out for a new run"


def change_settings(
    config: RunConfig,
    options: TrainOptions,
    pictures: Pictures,
    world: World,
    facts: Mapping[str, Any],
    second: Pictures | None = None,
) -> RunConfig:
    """Update a resumed run's pictures and settings from the options given now, and record what they were.

    What isn't asked for stays as it is, even where a new run would choose otherwise. Only the portions that a batch is
    computed in are chosen anew with the batch.

    Args:
        config: Its configuration so far.
        options: The options given now, with `change`.
        pictures: The pictures given now.
        world: Who takes part.
        facts: Those of the state that the run goes on from.
        second: The second discriminator's pictures given now.

    Raises:
        OptionError: If the pictures or options don't fit the run's networks, or each other.
    """
    _require_pictures_of_size(config, pictures)
    recipe, asked = config.recipe, asdict(options.recipe)
    names = (options.given - options.auto - PACE) & asked.keys()
    recipe = replace(recipe, **{name: asked[name] for name in names})
    if names & {"batch", "micro_batch"}:
        was_whole = config.recipe.micro_batch >= config.recipe.batch // world.size
        chosen = "micro_batch" in names or not was_whole
        recipe = _with_portions(recipe, pictures, world, chosen=chosen)
    _require_groups(recipe.augment_groups)
    strength_stays = "augment_p" not in names and config.recipe.augmentation == "adaptive"
    if recipe.augmentation == "fixed" and strength_stays:
        recipe = replace(recipe, augment_p=float(facts["augment_p"]))
    given = {name: getattr(options, name) for name in ("licence", "source") if name in options.given}
    changed = replace(config, recipe=recipe, **given)
    if fingerprint(pictures, like=config.fingerprint) != config.fingerprint:
        changed = replace(
            changed, data=str(options.data), pictures=len(pictures), fingerprint=fingerprint(pictures)
        )
    if config.dual is not None and second is not None:
        require_same_size(pictures, second)
        if fingerprint(second) != config.dual.fingerprint:
            changed = replace(changed, dual=second_pictures(options, second))
    return replace(
        changed,
        changes=record_change(config.changes, facts["seen"] / 1000, _values(config), _values(changed)),
    )


def _values(config: RunConfig) -> dict[str, Any]:
    """Everything of a configuration that --change may change, by name."""
    names = ("data", "pictures", "fingerprint", "licence", "source")
    recipe = asdict(config.recipe)
    dual = None if config.dual is None else asdict(config.dual)
    return (
        {name: getattr(config, name) for name in names}
        | {"dual": dual}
        | {name: value for name, value in recipe.items() if name not in PACE}
    )


def _require_pictures_of_size(config: RunConfig, pictures: Pictures) -> None:
    """Refuse pictures that the run's networks aren't made for."""
    shape = config.generator
    c_dim = 0 if isinstance(shape, DCGANConfig) else shape.mapping.c_dim
    made, given = (shape.size, c_dim), (pictures.size, pictures.label_count)
    if made != given:
        run, now = (
            f"{size} pixels and {counted(count, 'class', 'classes') if count else 'no labels'}"
            for size, count in (made, given)
        )
        raise OptionError(
            f"--change: this run's networks are made for {run}; the pictures have {now}",
            fix="pack the pictures like the former ones, or choose another --out for a new run",
        )


def change_pace(config: RunConfig, options: TrainOptions, seen: int) -> RunConfig:
    """Update a resumed run's learning rate and R1 weight from the options given now.

    Former values are recorded. As in a new run, an explicit rate stays constant unless a decay is requested as well.

    Args:
        config: Its configuration so far.
        options: The options given now; values of "auto" change nothing.
        seen: Number of pictures so far.
    """
    recipe, asked, auto = config.recipe, options.recipe, options.auto
    rate = recipe.learning_rate if "learning_rate" in auto else asked.learning_rate
    decay = recipe.lr_decay_kimg if rate == recipe.learning_rate else 0.0
    changed = replace(
        recipe,
        learning_rate=rate,
        lr_decay_kimg=decay if "lr_decay_kimg" in auto else asked.lr_decay_kimg,
        gamma=recipe.gamma if "gamma" in auto else asked.gamma,
    )
    if changed == recipe:
        return config
    former_rates, kimg = config.former_rates, seen / 1000
    used = (
        not former_rates or former_rates[-1].until_kimg < kimg
    )  # otherwise it was already changed at this point
    if used:
        former = FormerPace(kimg, recipe.learning_rate, recipe.lr_decay_kimg, recipe.gamma)
        former_rates = (*former_rates, former)
    return replace(config, recipe=changed, former_rates=former_rates)


def _recipe(
    options: TrainOptions,
    pictures: Pictures,
    world: World,
    networks: Networks,
    *,
    has_discriminator: bool,
) -> Recipe:
    """Return the requested recipe with all "auto" values resolved."""
    device, auto, recipe = world.device.type, options.auto, options.recipe
    _require_groups(recipe.augment_groups)
    if "batch" in auto:
        dcgan = isinstance(networks, DCGANNetworks)
        batch = DCGAN_BATCH * world.size if dcgan else choose_batch(pictures.size, world.size, device)
        recipe = replace(recipe, batch=batch)
    recipe = _with_portions(recipe, pictures, world, chosen="micro_batch" not in auto)

    trained = options.start is not None
    if isinstance(networks, StyleGAN2Networks):
        recipe = choose_pace(recipe, auto, max(networks.generator.config.channels), trained=trained)
        if "gamma" in auto:
            widest = max(networks.discriminator.config.channels)
            recipe = replace(recipe, gamma=choose_gamma(pictures.size, recipe.batch, widest))
    else:
        recipe = choose_dcgan(recipe, auto)
    if "ema_kimg" in auto:
        recipe = replace(recipe, ema_kimg=recipe.batch * 10 / 32)
    if trained:  # a trained generator needs no ramp-up of its average
        recipe = replace(recipe, ema_rampup=0.0)
    if "d_warmup_kimg" in auto:
        recipe = replace(recipe, d_warmup_kimg=D_WARMUP_KIMG if trained and not has_discriminator else 0.0)
    if "precision" in auto:
        recipe = replace(recipe, precision=choose_precision(device))
    return recipe


def _with_portions(recipe: Recipe, pictures: Pictures, world: World, *, chosen: bool) -> Recipe:
    """Bound the portions that a batch is computed in by the batch, and by memory where they weren't chosen."""
    local = world.share(recipe.batch)
    most = MICRO_BATCH_PIXELS.get(world.device.type, 2**19) // pictures.size.pixels
    most = max(most // GROUP, 1) * GROUP
    recipe = replace(recipe, micro_batch=min(local, recipe.micro_batch if chosen else most))
    _require_whole_groups(local, recipe.micro_batch)
    return recipe


def require_groups_on(config: RunConfig, world: World) -> None:
    """Refuse processes among which a resumed run's batch doesn't divide into groups of minibatch std.

    Raises:
        OptionError: If it doesn't.
    """
    if config.architecture == "stylegan2":
        local = world.share(config.recipe.batch)
        _require_whole_groups(local, min(local, config.recipe.micro_batch))


def choose_precision(device: str) -> TrainPrecision:
    """Choose bf16 if the device supports it in hardware, else fp32."""
    return "bf16" if multiplies_bfloat16(torch.device(device)) else "fp32"


def _require_groups(groups: tuple[str, ...]) -> None:
    unknown = [name for name in groups if name not in GROUPS]
    if unknown:
        raise OptionError(
            f"--augment-groups: unknown {', '.join(unknown)}", fix=f"choose some of {', '.join(GROUPS)}"
        )


def _require_whole_groups(local: int, micro_batch: int) -> None:
    """Refuse batches that minibatch std can't divide into its groups."""
    sizes = {micro_batch, local % micro_batch or micro_batch}
    if any(size > GROUP and size % GROUP for size in sizes):
        raise OptionError(
            f"a batch of {local} on each device in portions of {micro_batch}: want multiples of {GROUP} (or less)",
            fix="choose --batch and --micro-batch so, or another number of processes",
        )
