"""The hyper-parameters of an upscaler's training, and the file that records them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

import yaml
from pydantic import TypeAdapter, ValidationError

from metagan.errors import TrainingError
from metagan.files import reason_of
from metagan.networks.upscaler import UpscalerConfig
from metagan.training.run_folder import Change, RunFolder, load_config, record_change
from metagan.training.setup import way_out

VERSION = 1


@dataclass(frozen=True)
class UpscalerRecipe:
    """Every number that the trained weights depend on, besides the pictures and the network's shape.

    Args:
        seed: Seed of the initial weights, the order of pictures and all random draws in training.
        batch: Crops of originals per step; with a generator, as many crops of generated pictures are added.
        crop_px: Side of an original's crop in pixels.
        learning_rate: Learning rate of the upscaler; Adam with betas 0.9 and 0.99.
        discriminator_rate: The discriminator's rate as a multiple of that.
        lr_decay_kimg: Thousands of crops after which the rate decays with the inverse square root of the crops seen.
        ema_kimg: Half-life of the weights' moving average, in thousands of crops.
        warmup_kimg: Thousands of crops at the beginning that use the pixel loss alone.
        pixel_weight: Weight of the pixel-wise distance to the original.
        perceptual_weight: Weight of the distance between the discriminator's features.
        adversarial_weight: Weight of the adversarial loss.
        cycle_weight: Weight of the distance between a generated picture and its upscaled one, reduced again.
        degradation: Strength of blur and noise in the inputs; 0 leaves them as they are.
        mirror: Whether pictures are also shown mirrored.
    """

    seed: int = 0
    batch: int = 8
    crop_px: int = 96
    learning_rate: float = 0.001
    discriminator_rate: float = 0.5
    lr_decay_kimg: float = 20.0
    ema_kimg: float = 4.0
    warmup_kimg: float = 10.0
    pixel_weight: float = 1.0
    perceptual_weight: float = 0.05
    adversarial_weight: float = 0.003
    cycle_weight: float = 0.5
    degradation: float = 1.0
    mirror: bool = False


RECIPE_NAMES: Final = frozenset(field.name for field in dataclasses.fields(UpscalerRecipe))


@dataclass(frozen=True)
class UpscalerRunConfig:
    """The configuration of an upscaler's run, which is fixed when it starts, but for what --change changes.

    Args:
        data: The originals' path as given.
        pictures: Number of pictures, including those held out.
        held_out: Number of pictures at the end that are used for evaluation only.
        fingerprint: Hash of the pictures, to detect changes.
        recipe: The hyper-parameters.
        upscaler: The network's configuration.
        generator: The weights file whose pictures are added; None for originals alone.
        generator_sha256: That file's SHA-256.
        licence: Licence to record in the snapshots.
        source: Source to record in the snapshots.
        changes: What was changed since the run was started, in order.
        version: Version of this file's layout.
    """

    data: str
    pictures: int
    held_out: int
    fingerprint: str
    recipe: UpscalerRecipe
    upscaler: UpscalerConfig
    generator: str | None = None
    generator_sha256: str | None = None
    licence: str = "unknown"
    source: str = ""
    changes: tuple[Change, ...] = ()
    version: int = VERSION


def read_upscaler_config(folder: RunFolder) -> UpscalerRunConfig:
    """Read the configuration of an upscaler's run.

    Raises:
        TrainingError: If config.yaml is missing, or is not an upscaler's.
    """
    fix = "restore the file, or choose another --out for a new run"
    try:
        return TypeAdapter(UpscalerRunConfig).validate_python(load_config(folder))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise TrainingError(f"can't be read ({reason_of(error)})", where=folder.config, fix=fix) from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise TrainingError(
            f"not the file of an upscaler's run: {problems}", where=folder.config, fix=fix
        ) from error


def refuse_recipe_changes(
    config: UpscalerRunConfig, asked: UpscalerRunConfig, given: frozenset[str], *, change: bool = False
) -> None:
    """Refuse to resume a run with another recipe.

    Args:
        config: The run's configuration.
        asked: The configuration requested now.
        given: Names of the recipe's fields, and "upscaler", "generator", "licence" or "source", that were given
            explicitly.
        change: Whether all but the network's shape may change.

    Raises:
        TrainingError: If any value differs that may not. The message names all of them.
    """
    pairs = {
        name: (getattr(config.recipe, name), getattr(asked.recipe, name)) for name in given & RECIPE_NAMES
    }
    pairs |= {name: (getattr(config, name), getattr(asked, name)) for name in given & {"licence", "source"}}
    if "generator" in given:
        pairs["generator"] = (config.generator_sha256, asked.generator_sha256)
    if change:
        pairs = {}
    if "upscaler" in given:
        pairs["factor"] = (config.upscaler.factor, asked.upscaler.factor)
    wrong = [f"{name}: this run has {a}, asked for {b}" for name, (a, b) in sorted(pairs.items()) if a != b]
    if wrong:
        raise TrainingError("; ".join(wrong), fix=way_out(fixed=config.upscaler != asked.upscaler))


def change_recipe(
    config: UpscalerRunConfig, asked: UpscalerRunConfig, given: frozenset[str], seen: int
) -> UpscalerRunConfig:
    """Update a resumed run's pictures, generator and recipe from what is asked for now, and record what they were.

    Args:
        config: Its configuration so far.
        asked: The configuration requested now.
        given: Names of the recipe's fields, and "generator", "licence" or "source", that were given explicitly.
        seen: Number of crops so far.
    """
    recipe = {name: getattr(asked.recipe, name) for name in given & RECIPE_NAMES}
    taken = {name: getattr(asked, name) for name in given & {"licence", "source", "generator"}}
    if "generator" in taken:
        taken["generator_sha256"] = asked.generator_sha256
    if asked.fingerprint != config.fingerprint:
        names = ("data", "pictures", "held_out", "fingerprint")
        taken |= {name: getattr(asked, name) for name in names}
    changed = dataclasses.replace(config, recipe=dataclasses.replace(config.recipe, **recipe), **taken)
    was, now = _values(config), _values(changed)
    return dataclasses.replace(changed, changes=record_change(config.changes, seen / 1000, was, now))


def _values(config: UpscalerRunConfig) -> dict[str, Any]:
    """Return everything of a configuration that --change may change, by name."""
    names = (
        "data",
        "pictures",
        "held_out",
        "fingerprint",
        "generator",
        "generator_sha256",
        "licence",
        "source",
    )
    return {name: getattr(config, name) for name in names} | dataclasses.asdict(config.recipe)
