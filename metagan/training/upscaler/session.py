"""Sets up an upscaler's run for `metagan train --upscaler`: originals, generated pictures, measures, progress."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Final

import torch

from metagan.checkpoints.read import read_checkpoint, sha256_of
from metagan.datasets.source import PictureSource
from metagan.errors import OptionError
from metagan.evaluation.fidelity import fidelity
from metagan.files import require_outside
from metagan.networks.generator import Generator
from metagan.networks.loading.detect import load_generator
from metagan.networks.upscaler import UpscalerConfig
from metagan.sampling.device import choose_device
from metagan.training.data_loader import fingerprint
from metagan.training.distributed import World
from metagan.training.options import Schedule, TrainOptions, flag_of
from metagan.training.run_folder import RunFolder
from metagan.training.session import Result, open_archive, require_no_results, watching
from metagan.training.state import has_state, read_last_state
from metagan.training.upscaler.data import draw_made, hold_out
from metagan.training.upscaler.recipe import (
    RECIPE_NAMES,
    UpscalerRecipe,
    UpscalerRunConfig,
    change_recipe,
    read_upscaler_config,
    refuse_recipe_changes,
)
from metagan.training.upscaler.run import UpscalerRun
from metagan.values import Size

DEFAULT_KIMG: Final = 100.0
MEASURED: Final = 100
LEAST_CROP_PX: Final = 64
OTHERS: Final = frozenset(
    {
        *("data", "out", "device", "threads", "resolution", "upscaler", "generator", "licence", "source"),
        *("change", "archive"),
        *(field.name for field in dataclasses.fields(Schedule)),
    }
)


def train_upscaler(options: TrainOptions, factor: int) -> Result:
    """Train an upscaler.

    Args:
        options: The options. Of the recipe, only values given explicitly are used; upscalers have their own defaults.
        factor: Enlargement factor: 2 or 4.

    Raises:
        OptionError: If an option was given that upscalers don't have, or the generator's pictures don't have the
            upscaler's input size.
        TrainingError: If the folder belongs to another run.
    """
    if foreign := sorted(options.given - OTHERS - RECIPE_NAMES):
        names = ", ".join(flag_of(name) for name in foreign)
        raise OptionError("of no use with --upscaler", where=names, fix="leave it out")
    if options.threads:
        torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    require_outside(options.out, options.data)
    pictures = PictureSource(options.data, options.resolution, labelled=False)
    pictures.check()
    folder, asked = RunFolder(options.out), _asked(options, factor, pictures)
    archive = open_archive(options, folder)
    config = asked
    if not folder.config.exists() or not has_state(folder.state):
        require_no_results(folder, has_start=False)
    else:
        config = read_upscaler_config(folder)
        given = _given(options) | (options.given & {"upscaler", "generator", "licence", "source"})
        refuse_recipe_changes(config, asked, given, change=options.change)
        if options.change:
            seen = int(read_last_state(folder.state).facts["seen"])
            if fingerprint(pictures, like=config.fingerprint) == config.fingerprint:
                asked = dataclasses.replace(asked, fingerprint=config.fingerprint)
            config = change_recipe(config, asked, given, seen)
            _require_crops(config, pictures)
    generator = _generator(config, pictures.size)
    schedule = _schedule(options)
    with watching(schedule, shown=True, owns_process=True) as watcher:
        run = UpscalerRun(
            folder=folder,
            config=config,
            schedule=schedule,
            pictures=pictures,
            made=None if generator is None else draw_made(generator, device),
            world=World(0, 1, device),
            measure=fidelity,
            watcher=watcher,
            archive=archive,
        )
        if archive is not None:
            archive.say = watcher.say
        run.train()
        if archive is not None:
            archive.put(run.trainer.seen / 1000)
    kimg = max(folder.latest_kimg(), run.trainer.seen / 1000)
    return Result(folder.latest, folder.report, kimg)


def _given(options: TrainOptions) -> frozenset[str]:
    """Return the recipe's fields that were given explicitly."""
    return (options.given & RECIPE_NAMES) - options.auto


def _asked(options: TrainOptions, factor: int, pictures: PictureSource) -> UpscalerRunConfig:
    _require_size(pictures, factor)
    recipe = UpscalerRecipe(crop_px=min(UpscalerRecipe.crop_px, pictures.size.shortest))
    asked = dataclasses.asdict(options.recipe)
    chosen = {name: asked[name] for name in _given(options)}
    _, held_out = hold_out(pictures)
    weights = options.generator
    return UpscalerRunConfig(
        data=str(options.data),
        pictures=len(pictures),
        held_out=len(held_out),
        fingerprint=fingerprint(pictures),
        recipe=dataclasses.replace(recipe, **chosen),
        upscaler=UpscalerConfig(factor=factor),
        generator=str(weights) if weights else None,
        generator_sha256=sha256_of(weights) if weights else None,
        licence=options.licence,
        source=options.source,
    )


def _require_size(pictures: PictureSource, factor: int) -> None:
    if len(pictures) < 2:
        raise OptionError(
            "one picture; an upscaler learns from some and is measured on others",
            where=pictures.path,
            fix="give at least 2, better 1,000",
        )
    if pictures.size.shortest < LEAST_CROP_PX:
        raise OptionError(
            f"its pictures are {pictures.size} pixels; --upscaler learns from large originals",
            where=pictures.path,
            fix=(
                "pack them at their full size, `metagan dataset pack ORIGINALS --out NEW.zip "
                f"--resolution {64 * factor}`"
            ),
        )


def _require_crops(config: UpscalerRunConfig, pictures: PictureSource) -> None:
    if pictures.size.shortest < config.recipe.crop_px:
        crop = config.recipe.crop_px
        raise OptionError(
            f"--change: this run learns from crops of {crop}x{crop} pixels; the pictures have {pictures.size}",
            fix="pack them at a larger size, or choose another --out for a new run",
        )


def _generator(config: UpscalerRunConfig, size: Size) -> Generator | None:
    """Load the generator whose pictures the run was started with, or return None."""
    if config.generator is None:
        return None
    path = Path(config.generator)
    if not path.exists():
        raise OptionError(
            f"{path}, which this run was started with, doesn't exist any more",
            where="--generator",
            fix="put it back, or choose another --out for a new run",
        )
    if sha256_of(path) != config.generator_sha256:
        raise OptionError(
            f"{path} isn't the file any more that this run was started with",
            where="--generator",
            fix="put that one back, or choose another --out for a new run",
        )
    generator = load_generator(read_checkpoint(path))
    factor = config.upscaler.factor
    small = Size(size.width // factor, size.height // factor)
    if (generator.size, generator.image_channels) != (small, 3):
        raise OptionError(
            (
                f"--generator {path}: it makes {generator.size} pixels, {generator.image_channels} channels; "
                f"originals of {size.as_option} want {small}, RGB"
            ),
            fix=f"pack the originals with --resolution {generator.size.times(factor).as_option}",
        )
    return generator


def _schedule(options: TrainOptions) -> Schedule:
    """Return the requested schedule, with the upscalers' own defaults."""
    schedule = options.schedule
    if "total_kimg" not in options.given:
        schedule = dataclasses.replace(schedule, total_kimg=DEFAULT_KIMG)
    if "measured_pictures" not in options.given:
        schedule = dataclasses.replace(schedule, measured_pictures=MEASURED)
    return schedule
