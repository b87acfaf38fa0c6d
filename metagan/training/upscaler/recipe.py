"""What decides an upscaler's training, and the file that records it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from metagan.errors import TrainingError
from metagan.files import write_bytes
from metagan.networks.upscaler import UpscalerConfig
from metagan.training.run_folder import RunFolder

VERSION = 1


@dataclass(frozen=True)
class UpscalerRecipe:
    """Every number that the trained weights depend on, besides the pictures and the network's shape.

    Args:
        seed: Of the first weights, the order of pictures and all that is drawn while training.
        batch: Crops of originals a step; with a generator, as many crops of generated pictures come on top.
        crop_px: An original's crop has this side, in pixels.
        learning_rate: The upscaler's; Adam with betas 0.9 and 0.99.
        discriminator_rate: The discriminator's rate as a multiple of that.
        lr_decay_kimg: Thousands of crops from which on the rate falls with the square root of the crops seen.
        ema_kimg: Half-life of the weights' moving average, in thousands of crops.
        warmup_kimg: Thousands of crops at the beginning that are learnt by their pixels alone.
        pixel_weight: Of the distance to the original, pixel by pixel.
        perceptual_weight: Of the distance between the discriminator's features.
        adversarial_weight: Of what the discriminator says.
        cycle_weight: Of the distance between a generated picture and its upscaled one, made small again.
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


@dataclass(frozen=True)
class UpscalerRunConfig:
    """What an upscaler's run is, from its first step to its last.

    Args:
        data: The originals' path as given.
        pictures: How many there are, those held out included.
        held_out: How many of the last ones are never trained on, but measured.
        fingerprint: Of the pictures, to notice others.
        recipe: The hyper-parameters.
        upscaler: The network's shape.
        generator: The weights file whose pictures take part; None for originals alone.
        generator_sha256: That file's SHA-256.
        licence: To record in the snapshots.
        source: To record in the snapshots.
        version: Of this file's layout.
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
    version: int = VERSION


def write_upscaler_config(folder: RunFolder, config: UpscalerRunConfig) -> None:
    """Write config.yaml.

    Raises:
        TrainingError: The folder can't be written.
    """
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    try:
        write_bytes(folder.config, yaml.safe_dump(plain, sort_keys=False).encode())
    except OSError as error:
        raise TrainingError(
            f"can't be written ({error.strerror or error})", where=folder.path, fix="choose another --out"
        ) from error


def read_upscaler_config(folder: RunFolder) -> UpscalerRunConfig:
    """What an upscaler's run was started with.

    Raises:
        TrainingError: config.yaml is missing, or is not an upscaler's.
    """
    fix = "restore the file, or choose another --out for a new run"
    try:
        return TypeAdapter(UpscalerRunConfig).validate_python(
            yaml.safe_load(folder.config.read_text("utf-8"))
        )
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise TrainingError(f"can't be read ({error})", where=folder.config, fix=fix) from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise TrainingError(
            f"not the file of an upscaler's run: {problems}", where=folder.config, fix=fix
        ) from error


def refuse_recipe_changes(config: UpscalerRunConfig, asked: UpscalerRunConfig, given: frozenset[str]) -> None:
    """Refuse to go on with another recipe than a run began with.

    Args:
        config: What the run began with.
        asked: What is asked for now.
        given: Names of the recipe's fields, and "upscaler" or "generator", that were asked for explicitly.

    Raises:
        TrainingError: Names every value that differs.
    """
    pairs = {
        name: (getattr(config.recipe, name), getattr(asked.recipe, name))
        for name in given & {field.name for field in dataclasses.fields(UpscalerRecipe)}
    }
    if "upscaler" in given:
        pairs["factor"] = (config.upscaler.factor, asked.upscaler.factor)
    if "generator" in given:
        pairs["generator"] = (config.generator_sha256, asked.generator_sha256)
    wrong = [f"{name}: this run has {a}, asked for {b}" for name, (a, b) in sorted(pairs.items()) if a != b]
    if wrong:
        raise TrainingError(
            "; ".join(wrong), fix="leave these out to go on, or choose another --out for a new run"
        )
