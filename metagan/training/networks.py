"""The three networks of a run: generator, discriminator, and the generator's moving average."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from metagan.checkpoints.model import Checkpoint
from metagan.checkpoints.read import read_checkpoint
from metagan.errors import OptionError, UnknownArchitectureError
from metagan.networks.generator import Generator, Noise
from metagan.networks.loading.detect import load_discriminator, load_generator
from metagan.networks.loading.forms import title_of
from metagan.networks.stylegan2.discriminator import Conv, Discriminator, DiscriminatorConfig
from metagan.networks.stylegan2.fast import (
    features_for_training,
    logits_for_training,
    synthesize_for_training,
)
from metagan.networks.stylegan2.network import Config, StyleGAN2
from metagan.training.distributed import World
from metagan.training.losses import draw_cutoffs, mix_styles
from metagan.training.options import Recipe
from metagan.training.recipe import discriminator_config
from metagan.training.run_folder import RunFolder, read_config
from metagan.training.state import is_state, read_last_state
from metagan.values import Size

ALONE = "take its generator alone: `metagan convert FILE OUT.safetensors`, then --start OUT.safetensors"


MEAN_STYLE_SURVIVES = 0.998  # a step's share of the old mean style


class DrawnNoise(Noise):
    """Fresh noise for every layer and picture, from the step's own generator of random numbers."""

    def __init__(self, rng: torch.Generator) -> None:
        super().__init__("random")
        self._rng = rng

    def image(self, stored: Tensor, batch: int, *, uniform: bool = False) -> Tensor:
        """Draw the next layer's noise, [batch, 1, h, w]."""
        draw = torch.rand if uniform else torch.randn
        return draw((batch, 1, *stored.shape), generator=self._rng, device=stored.device)


@dataclass(frozen=True)
class Context:
    """What networks compute with in a step of training.

    Args:
        recipe: The hyper-parameters.
        world: The processes that train together.
        rng: The step's random numbers, on the device.
    """

    recipe: Recipe
    world: World
    rng: torch.Generator

    def autocast(self) -> AbstractContextManager[None]:
        """Compute in the recipe's precision."""
        enabled = self.recipe.precision == "bf16"
        return torch.autocast(self.world.device.type, torch.bfloat16, enabled=enabled)


@dataclass(frozen=True)
class Networks(ABC):
    """A run's networks, and what their architecture decides about a step of training.

    Args:
        generator: The generator.
        discriminator: The discriminator.
        average: The generator's moving average (G_ema), which is the result of a run.
    """

    generator: Generator
    discriminator: nn.Module
    average: Generator

    @abstractmethod
    def styles(self, n: int, labels: Tensor | None, context: Context) -> Tensor:
        """Draw the styles of n pictures, as in training."""

    @abstractmethod
    def synthesize(self, styles: Tensor, context: Context) -> Tensor:
        """Draw pictures from styles in the recipe's precision; returns float32."""

    @abstractmethod
    def logits(self, images: Tensor, labels: Tensor | None, context: Context) -> Tensor:
        """Return the discriminator's logits; its last layers, which losses are most sensitive to, are in float32."""

    @abstractmethod
    def trainable(self, frozen_layers: int) -> list[nn.Parameter]:
        """Return the discriminator's parameters without those of its first layers, counted from the input.

        Mo et al. 2020, Freeze the Discriminator, arXiv:2002.10964.

        Raises:
            OptionError: If there are fewer layers.
        """

    def to(self, device: torch.device) -> Networks:
        """Move the networks to a device, in the memory layout in which convolutions are fastest."""
        for network in (self.generator, self.discriminator, self.average):
            network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    def tensors(self) -> dict[str, Tensor]:
        """Return every parameter and buffer by name, such as "generator/constant"."""
        return {f"{role}/{name}": tensor for role, name, tensor in self._entries()}

    def _entries(self) -> Iterator[tuple[str, str, Tensor]]:
        for role in ("generator", "discriminator", "average"):
            for name, tensor in getattr(self, role).state_dict().items():
                yield role, name, tensor


@dataclass(frozen=True)
class StyleGAN2Networks(Networks):
    """The networks of a StyleGAN2-ADA run."""

    generator: StyleGAN2
    discriminator: Discriminator
    average: StyleGAN2

    def styles(self, n: int, labels: Tensor | None, context: Context) -> Tensor:
        """Draw styles of n pictures, some mixed of two latents, and update the mean style."""
        generator, device, rng = self.generator, context.world.device, context.rng
        first, second = (
            generator.map_latents(torch.randn(n, generator.z_dim, generator=rng, device=device), labels)
            for _ in range(2)
        )
        mean_style = generator.mapping.mean_style
        if mean_style is not None:
            mean = context.world.mean(first[:, 0].detach().mean(dim=0))
            mean_style.copy_(torch.lerp(mean, mean_style, MEAN_STYLE_SURVIVES))
        return mix_styles(first, second, draw_cutoffs(n, generator.num_ws, context.recipe.style_mixing, rng))

    def synthesize(self, styles: Tensor, context: Context) -> Tensor:
        """Draw pictures from styles, with fresh noise."""
        with context.autocast():
            images = synthesize_for_training(self.generator, styles, DrawnNoise(context.rng))
        return images.float()

    def logits(self, images: Tensor, labels: Tensor | None, context: Context) -> Tensor:
        """Return logits; the groups of minibatch standard deviation and what follows are computed in float32."""
        with context.autocast():
            x, image = features_for_training(self.discriminator, images)
        image = None if image is None else image.float()
        return logits_for_training(self.discriminator, x.float(), image, labels)

    def trainable(self, frozen_layers: int) -> list[nn.Parameter]:
        """Return the discriminator's parameters without those of its first convolutions."""
        layers = [module for module in self.discriminator.modules() if isinstance(module, Conv)]
        if frozen_layers > len(layers):
            raise OptionError(
                f"--freeze-d {frozen_layers}: this discriminator has {len(layers)} convolutions",
                fix="freeze at most that many",
            )
        frozen = {id(parameter) for layer in layers[:frozen_layers] for parameter in layer.parameters()}
        return [parameter for parameter in self.discriminator.parameters() if id(parameter) not in frozen]


def new_networks(config: Config, discriminator_shape: DiscriminatorConfig, seed: int) -> StyleGAN2Networks:
    """Create networks with random weights; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = StyleGAN2(config)
        discriminator = Discriminator(discriminator_shape)
    return StyleGAN2Networks(generator, discriminator, _frozen_copy(generator))


def networks_from(path: Path, size: Size, c_dim: int, seed: int) -> tuple[StyleGAN2Networks, bool]:
    """Load the networks of a StyleGAN2 file, or of a run's state, for further training.

    Args:
        path: A run's state.safetensors, or a file with a generator. G and G_ema replace each other if one is missing;
            without D a new discriminator is created with the generator's widths.
        size: Of the training pictures.
        c_dim: Width of their label vectors.
        seed: Seed of a new discriminator's weights.

    Returns:
        The networks, and whether the discriminator comes from the file.

    Raises:
        CheckpointError: If the file can't be read, or has no generator.
        OptionError: If it isn't a StyleGAN2, or has pictures of another size or other classes.
    """
    if is_state(path):
        return _networks_of_state(path, size, c_dim, seed), True
    checkpoint = read_checkpoint(path)
    there = checkpoint.networks
    average = _stylegan2(path, load_generator(checkpoint))
    _require_same_size(path, average, size, c_dim)
    generator = _stylegan2(path, load_generator(checkpoint, "G")) if "G" in there else copy.deepcopy(average)
    if generator.config != average.config:
        raise OptionError(f"--start {path}: its G and G_ema differ in shape", fix=ALONE)
    if "D" in there:
        discriminator = _discriminator(path, checkpoint, average)
    else:
        discriminator = new_networks(average.config, discriminator_config(average.config), seed).discriminator
    for network in (generator, discriminator):
        network.requires_grad_(requires_grad=True)
    return StyleGAN2Networks(generator, discriminator, _frozen_copy(average)), "D" in there


def _networks_of_state(path: Path, size: Size, c_dim: int, seed: int) -> StyleGAN2Networks:
    """Load both networks and the average of a run's state. Their shapes are stated in it, or by its config.yaml."""
    state = read_last_state(path)
    if not any(name.startswith("generator/") for name in state.tensors):
        raise OptionError(
            f"--start {path}: it is the state of an upscaler's run",
            fix="choose the state of a generator's run, or weights",
        )
    if "networks" in state.facts:
        stated = state.facts["networks"]
        generator = TypeAdapter(Config).validate_python(stated["generator"])
        discriminator = TypeAdapter(DiscriminatorConfig).validate_python(stated["discriminator"])
    else:
        config = read_config(RunFolder(path.parent))
        generator, discriminator = config.generator, config.discriminator
    networks = new_networks(generator, discriminator, seed)
    _require_same_size(path, networks.average, size, c_dim)
    with torch.no_grad():
        for name, tensor in networks.tensors().items():
            tensor.copy_(state.tensors[name])
    return networks


def _discriminator(path: Path, checkpoint: Checkpoint, generator: StyleGAN2) -> Discriminator:
    try:
        discriminator = load_discriminator(checkpoint)
    except UnknownArchitectureError as error:
        raise UnknownArchitectureError(error.what, where=error.where, fix=ALONE) from error
    if isinstance(discriminator, Discriminator):
        shape, labels = discriminator.config, discriminator.config.label_mapping
        scored = (shape.size, shape.image_channels, labels.c_dim if labels else 0)
        if scored == (generator.size, generator.image_channels, generator.c_dim):
            return discriminator
    raise OptionError(
        f"--start {path}: its discriminator scores other pictures than its generator makes", fix=ALONE
    )


def _stylegan2(path: Path, generator: Generator) -> StyleGAN2:
    if not isinstance(generator, StyleGAN2):
        raise OptionError(
            f"--start {path}: it holds {title_of(generator)}", fix="training goes on from StyleGAN2 files"
        )
    return generator


def _require_same_size(path: Path, generator: StyleGAN2, size: Size, c_dim: int) -> None:
    if generator.image_channels != 3:
        raise OptionError(
            f"--start {path}: its pictures have {generator.image_channels} channels, those to train on have 3",
            fix="choose another file",
        )
    if generator.size != size:
        raise OptionError(
            f"--start {path}: it makes {generator.size} pixels; the pictures have {size}",
            fix=f"pack them with `metagan dataset pack --resolution {generator.size.as_option}`",
        )
    if generator.c_dim != c_dim:
        raise OptionError(
            f"--start {path}: its labels have width {generator.c_dim}, those of the pictures {c_dim}",
            fix="choose another file, or --no-labels where it has none",
        )


def _frozen_copy(generator: StyleGAN2) -> StyleGAN2:
    return copy.deepcopy(generator).eval().requires_grad_(requires_grad=False)
