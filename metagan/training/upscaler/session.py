"""What `metagan train --upscaler` sets up around a run: originals, generated pictures, measures, progress."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from metagan.checkpoints.read import read_checkpoint, sha256_of
from metagan.datasets.source import PictureSource
from metagan.errors import OptionError
from metagan.evaluation.fidelity import fidelity
from metagan.networks.generator import Generator
from metagan.networks.loading.detect import load_generator
from metagan.networks.upscaler import UpscalerConfig
from metagan.sampling.device import choose_device
from metagan.training.data_loader import fingerprint
from metagan.training.distributed import World
from metagan.training.run import Schedule
from metagan.training.run_folder import RunFolder
from metagan.training.session import print_result, watching
from metagan.training.upscaler.data import draw_made, hold_out
from metagan.training.upscaler.recipe import (
    UpscalerRecipe,
    UpscalerRunConfig,
    read_upscaler_config,
    refuse_recipe_changes,
)
from metagan.training.upscaler.run import UpscalerRun

DEFAULT_KIMG: Final = 100.0
MEASURED: Final = 100
LEAST_CROP_PX: Final = 64
# Options of `metagan train` by the recipe's field that they set.
RECIPE: Final = {
    "batch": "batch",
    "learning_rate": "learning_rate",
    "discriminator_rate": "discriminator_rate",
    "lr_decay_kimg": "lr_decay_kimg",
    "ema_kimg": "ema_kimg",
    "mirror": "mirror",
    "seed": "seed",
}
OTHERS: Final = frozenset(
    {
        *(
            "data",
            "out",
            "kimg",
            "resolution",
            "upscaler",
            "generator",
            "licence",
            "source",
            "device",
            "threads",
        ),
        *("state_every", "metrics_every", "snapshot_every", "measure", "best"),
    }
)


def train_upscaler(options: Mapping[str, Any], given: set[str]) -> None:
    """Train an upscaler as asked for.

    Args:
        options: Every option of the command line by its name.
        given: Those of them that were given explicitly.

    Raises:
        OptionError: An option was given that upscalers don't have, or the generator's pictures have another size than
            the upscaler is for.
        TrainingError: The folder belongs to another run.
    """
    if foreign := sorted(given - OTHERS - RECIPE.keys()):
        names = ", ".join("--" + name.replace("_", "-") for name in foreign)
        raise OptionError("of no use with --upscaler", where=names, fix="leave it out")
    if options["threads"]:
        torch.set_num_threads(options["threads"])
    device = choose_device(options["device"])
    pictures = PictureSource(options["data"], options["resolution"], labelled=False)
    pictures.check()
    folder, asked = RunFolder(options["out"]), _asked(options, given, pictures)
    config = asked
    if folder.config.exists() and folder.state.exists():
        config = read_upscaler_config(folder)
        changed = {RECIPE[name] for name in given & RECIPE.keys()}
        changed |= {
            {"upscaler": "factor", "generator": "generator"}[name]
            for name in given & {"upscaler", "generator"}
        }
        refuse_recipe_changes(config, asked, changed)
    generator = _generator(config, pictures.resolution)
    schedule = _schedule(options, given)
    with watching(schedule, shown=True) as watcher:
        run = UpscalerRun(
            folder=folder,
            config=config,
            schedule=schedule,
            pictures=pictures,
            made=None if generator is None else draw_made(generator, device),
            world=World(0, 1, device),
            measure=fidelity,
            watcher=watcher,
        )
        run.train()
    print_result(folder, run.trainer.seen / 1000)


def _asked(options: Mapping[str, Any], given: set[str], pictures: PictureSource) -> UpscalerRunConfig:
    factor = int(options["upscaler"].removeprefix("x"))
    _require_size(pictures, factor)
    recipe = UpscalerRecipe(crop_px=min(UpscalerRecipe.crop_px, pictures.resolution))
    chosen = {RECIPE[name]: options[name] for name in given & RECIPE.keys() if options[name] is not None}
    _, held_out = hold_out(pictures)
    weights: Path | None = options["generator"]
    return UpscalerRunConfig(
        data=str(options["data"]),
        pictures=len(pictures),
        held_out=len(held_out),
        fingerprint=fingerprint(pictures),
        recipe=dataclasses.replace(recipe, **chosen),
        upscaler=UpscalerConfig(factor=factor),
        generator=str(weights) if weights else None,
        generator_sha256=sha256_of(weights) if weights else None,
        licence=options["licence"],
        source=options["source"],
    )


def _require_size(pictures: PictureSource, factor: int) -> None:
    if len(pictures) < 2:
        raise OptionError(
            "one picture; an upscaler learns from some and is measured on others",
            where=pictures.path,
            fix="give at least 2, better 1,000",
        )
    if pictures.resolution < LEAST_CROP_PX:
        side = pictures.resolution
        raise OptionError(
            f"its pictures are {side}x{side} pixels; --upscaler learns from large originals",
            where=pictures.path,
            fix=(
                "pack them at their full size, `metagan dataset pack ORIGINALS --out NEW.zip "
                f"--resolution {64 * factor}`"
            ),
        )


def _generator(config: UpscalerRunConfig, resolution: int) -> Generator | None:
    """The generator that the run was started with, whose pictures take part."""
    if config.generator is None:
        return None
    path = Path(config.generator)
    if not path.exists():
        raise OptionError(
            f"--generator: {path}, which this run was started with, isn't there any more",
            fix="put it back, or choose another --out for a new run",
        )
    if sha256_of(path) != config.generator_sha256:
        raise OptionError(
            f"--generator: {path} isn't the file any more that this run was started with",
            fix="put that one back, or choose another --out for a new run",
        )
    generator = load_generator(read_checkpoint(path))
    side = resolution // config.upscaler.factor
    if (generator.resolution, generator.image_channels) != (side, 3):
        raise OptionError(
            (
                f"--generator {path}: it makes {generator.resolution}x{generator.resolution} pixels, "
                f"{generator.image_channels} channels; originals of {resolution} want {side}x{side}, "
                "RGB"
            ),
            fix=f"pack the originals with --resolution {generator.resolution * config.upscaler.factor}",
        )
    return generator


def _schedule(options: Mapping[str, Any], given: set[str]) -> Schedule:
    return Schedule(
        total_kimg=options["kimg"] if "kimg" in given else DEFAULT_KIMG,
        state_kimg=options["state_every"],
        metrics_kimg=options["metrics_every"],
        snapshot_kimg=options["snapshot_every"],
        measured_pictures=options["measure"] if "measure" in given else MEASURED,
        keep_best=options["best"],
    )
