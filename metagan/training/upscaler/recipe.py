"""The hyper-parameters of an upscaler's training, and the file that records them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import yaml
from pydantic import TypeAdapter, ValidationError

from metagan.errors import TrainingError
from metagan.networks.upscaler import UpscalerConfig
from metagan.training.run_folder import RunFolder

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


@dataclass(frozen=True)
class UpscalerRunConfig:
    """The configuration of an upscaler's run, which is fixed when it starts.

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
    version: int = VERSION


def read_upscaler_config(folder: RunFolder) -> UpscalerRunConfig:
    """Read the configuration of an upscaler's run.

    Raises:
        TrainingError: If config.yaml is missing, or is not an upscaler's.
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
    """Refuse to resume a run with another recipe.

    Args:
        config: The run's configuration.
        asked: The configuration requested now.
        given: Names of the recipe's fields, and "upscaler" or "generator", that were given explicitly.

    Raises:
        TrainingError: If any value differs. The message names all of them.
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
