"""The three networks of a run: generator, discriminator, and the generator's moving average."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, get_args, overload

import torch
from jaxtyping import Bool, Float, Int
from pydantic import TypeAdapter
from torch import Tensor, nn

from metagan.checkpoints.model import Checkpoint
from metagan.checkpoints.read import read_checkpoint
from metagan.errors import OptionError, UnknownArchitectureError
from metagan.networks.dcgan.load import make_generator as make_dcgan
from metagan.networks.dcgan.network import DCGAN, Layer
from metagan.networks.dcgan.network import Config as DCGANConfig
from metagan.networks.dcgan.network import Discriminator as DCGANDiscriminator
from metagan.networks.generator import Generator, Noise
from metagan.networks.loading.assemble import assemble
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
from metagan.training.options import ArchitectureName, Recipe
from metagan.training.recipe import dcgan_discriminator_config, discriminator_config
from metagan.training.run_folder import AnyConfig, AnyDiscriminatorConfig, RunFolder, read_config
from metagan.training.state import is_state, read_last_state
from metagan.values import Size, counted

M = TypeVar("M", bound=nn.Module)
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
        noise: The layers' noise, drawn from `rng`.
    """

    recipe: Recipe
    world: World
    rng: torch.Generator
    noise: DrawnNoise

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
        second: The discriminator of the other collection, where there are two.
    """

    generator: Generator
    discriminator: nn.Module
    average: Generator
    second: nn.Module | None = None

    @property
    def discriminators(self) -> dict[str, nn.Module]:
        """The discriminators by role; the names of their tensors begin with it."""
        one = {"discriminator": self.discriminator}
        return one if self.second is None else one | {"second": self.second}

    @abstractmethod
    def styles(self, n: int, labels: Tensor | None, context: Context) -> Tensor:
        """Draw the styles of n pictures, as in training."""

    @abstractmethod
    def synthesize(self, styles: Tensor, context: Context) -> Tensor:
        """Draw pictures from styles in the recipe's precision; returns float32."""

    @abstractmethod
    def logits(
        self, discriminator: nn.Module, images: Tensor, labels: Tensor | None, context: Context
    ) -> Tensor:
        """Return a discriminator's logits; its last layers, which losses are most sensitive to, are in float32."""

    @abstractmethod
    def trainable(self, discriminator: nn.Module, frozen_layers: int) -> list[nn.Parameter]:
        """Return a discriminator's parameters without those of its first layers, counted from the input.

        Mo et al. 2020, Freeze the Discriminator, arXiv:2002.10964.

        Raises:
            OptionError: If there are fewer layers.
        """

    @property
    @abstractmethod
    def shapes(self) -> tuple[AnyConfig, AnyDiscriminatorConfig]:
        """The configurations of generator and discriminator."""

    def to(self, device: torch.device) -> Networks:
        """Move the networks to a device, in the memory layout in which convolutions are fastest."""
        for network in (self.generator, self.average, *self.discriminators.values()):
            network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    def tensors(self) -> dict[str, Tensor]:
        """Return every parameter and buffer by name, such as "generator/constant"."""
        return {f"{role}/{name}": tensor for role, name, tensor in self._entries()}

    def _entries(self) -> Iterator[tuple[str, str, Tensor]]:
        for role, network in (
            {"generator": self.generator} | self.discriminators | {"average": self.average}
        ).items():
            for name, tensor in network.state_dict().items():
                yield role, name, tensor


@dataclass(frozen=True)
class StyleGAN2Networks(Networks):
    """The networks of a StyleGAN2-ADA run."""

    generator: StyleGAN2
    discriminator: Discriminator
    average: StyleGAN2

    @property
    def shapes(self) -> tuple[Config, DiscriminatorConfig]:
        """The configurations of generator and discriminator."""
        return self.generator.config, self.discriminator.config

    def styles(self, n: int, labels: Tensor | None, context: Context) -> Tensor:
        """Draw styles of n pictures, some mixed of two latents, and update the mean style."""
        generator, device, rng = self.generator, context.world.device, context.rng
        first, second = (
            generator.mapping(torch.randn(n, generator.z_dim, generator=rng, device=device), labels)
            for _ in range(2)
        )
        mean_style = generator.mapping.mean_style
        if mean_style is not None:
            mean = context.world.mean(first.detach().mean(dim=0))
            mean_style.copy_(torch.lerp(mean, mean_style, MEAN_STYLE_SURVIVES))
        cutoffs = draw_cutoffs(n, generator.num_ws, context.recipe.style_mixing, rng)
        return mix_styles(first, second, cutoffs, generator.num_ws)

    def synthesize(self, styles: Tensor, context: Context) -> Tensor:
        """Draw pictures from styles, with fresh noise."""
        with context.autocast():
            images = synthesize_for_training(self.generator, styles, context.noise)
        return images.float()

    def logits(
        self, discriminator: nn.Module, images: Tensor, labels: Tensor | None, context: Context
    ) -> Tensor:
        """Return logits; the groups of minibatch standard deviation and what follows are computed in float32."""
        assert isinstance(discriminator, Discriminator)  # noqa: S101 - all of a run's are
        with context.autocast():
            x, image = features_for_training(discriminator, images)
        image = None if image is None else image.float()
        return logits_for_training(discriminator, x.float(), image, labels)

    def trainable(self, discriminator: nn.Module, frozen_layers: int) -> list[nn.Parameter]:
        """Return a discriminator's parameters without those of its first convolutions."""
        layers = [module for module in discriminator.modules() if isinstance(module, Conv)]
        return _without_first(discriminator, layers, frozen_layers)


def mix_styles(
    first: Float[Tensor, "n w_dim"], second: Float[Tensor, "n w_dim"], cutoffs: Int[Tensor, " n"], num_ws: int
) -> Float[Tensor, "n ws w_dim"]:
    """Give each picture its first style before its cutoff and its second from there on.

    Karras et al. 2019, arXiv:1812.04948, section 3.1.
    """
    layers = torch.arange(num_ws, device=first.device)
    from_first: Bool[Tensor, "n ws"] = layers[None] < cutoffs[:, None]
    return torch.where(from_first[:, :, None], first[:, None], second[:, None])


def draw_cutoffs(n: int, num_ws: int, probability: float, rng: torch.Generator) -> Int[Tensor, " n"]:
    """Draw where each picture's styles change: uniform from 1 with this probability, else never (num_ws)."""
    device = rng.device
    cutoffs = torch.randint(1, max(num_ws, 2), (n,), generator=rng, device=device)
    mixed = torch.rand(n, generator=rng, device=device) < probability
    return torch.where(mixed, cutoffs, num_ws)


@dataclass(frozen=True)
class DCGANNetworks(Networks):
    """The networks of a DCGAN run (Radford et al. 2016, arXiv:1511.06434): no labels, no noise, batch normalisation."""

    generator: DCGAN
    discriminator: DCGANDiscriminator
    average: DCGAN

    @property
    def shapes(self) -> tuple[DCGANConfig, DCGANConfig]:
        """The configurations of generator and discriminator."""
        return self.generator.config, self.discriminator.config

    def styles(self, n: int, labels: Tensor | None, context: Context) -> Tensor:
        """Draw latents of n pictures, which are a DCGAN's only styles, [n, 1, z_dim]."""
        del labels
        device = context.world.device
        return torch.randn(n, 1, self.generator.z_dim, generator=context.rng, device=device)

    def synthesize(self, styles: Tensor, context: Context) -> Tensor:
        """Draw pictures from latents."""
        with context.autocast():
            images: Tensor = self.generator.layers(styles[:, 0])
        return images.float()

    def logits(
        self, discriminator: nn.Module, images: Tensor, labels: Tensor | None, context: Context
    ) -> Tensor:
        """Return logits, with dropout after each activation."""
        del labels
        *layers, last = _layers(discriminator)
        x, keep = images, 1 - context.recipe.dropout
        with context.autocast():
            for layer in layers:
                x = layer(x)
                if layer.config.kind == "leaky_relu" and keep < 1:
                    x = x * torch.empty_like(x).bernoulli_(keep, generator=context.rng).div_(keep)
        logits: Tensor = last(x.float())
        return logits

    def trainable(self, discriminator: nn.Module, frozen_layers: int) -> list[nn.Parameter]:
        """Return a discriminator's parameters without those of its first convolutions."""
        layers = [layer for layer in _layers(discriminator) if layer.config.kind == "conv"]
        return _without_first(discriminator, layers, frozen_layers)


def _layers(dcgan: nn.Module) -> list[Layer]:
    return [layer for layer in dcgan.modules() if isinstance(layer, Layer)]


def with_second(networks: Networks, seed: int) -> Networks:
    """Add a new discriminator of the same shape, for another collection."""
    return replace(networks, second=new_networks(*networks.shapes, seed + 1).discriminator)


@overload
def new_networks(
    config: Config, discriminator_shape: DiscriminatorConfig, seed: int
) -> StyleGAN2Networks: ...


@overload
def new_networks(config: AnyConfig, discriminator_shape: AnyDiscriminatorConfig, seed: int) -> Networks: ...


def new_networks(config: AnyConfig, discriminator_shape: AnyDiscriminatorConfig, seed: int) -> Networks:
    """Create networks with random weights; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(config, DCGANConfig) and isinstance(discriminator_shape, DCGANConfig):
            dcgan = _as_published(make_dcgan(config))
            return DCGANNetworks(
                dcgan, _as_published(DCGANDiscriminator(discriminator_shape)), _frozen_copy(dcgan)
            )
        if isinstance(config, DCGANConfig) or isinstance(discriminator_shape, DCGANConfig):
            raise TypeError("a generator and a discriminator of two architectures")
        generator = StyleGAN2(config)
        discriminator = Discriminator(discriminator_shape)
    return StyleGAN2Networks(generator, discriminator, _frozen_copy(generator))


@torch.no_grad()
def _as_published(network: M) -> M:
    """Scale unit-normal weights to a DCGAN's: a deviation of 0.02, around 1 in normalisations."""
    for layer in _layers(network):
        if layer.weight is not None:
            layer.weight *= 0.02
            if layer.config.kind == "norm":
                layer.weight += 1
    return network


def networks_from(
    path: Path, size: Size, c_dim: int, seed: int, architecture: ArchitectureName = "stylegan2"
) -> tuple[Networks, bool]:
    """Load the networks of a weights file, or of a run's state, for further training.

    Args:
        path: A run's state.safetensors, or a file with a generator. G and G_ema replace each other if one is missing;
            without D a new discriminator is created with the generator's widths.
        size: Of the training pictures.
        c_dim: Width of their label vectors.
        seed: Seed of a new discriminator's weights.
        architecture: What the run trains.

    Returns:
        The networks, and whether the discriminator comes from the file.

    Raises:
        CheckpointError: If the file can't be read, or has no generator.
        OptionError: If it has another architecture, or pictures of another size or other classes.
    """
    if is_state(path):
        networks = _networks_of_state(path, size, c_dim, seed)
        _require_architecture(path, networks.generator, architecture)
        return networks, True
    checkpoint = read_checkpoint(path)
    there = checkpoint.networks
    average = load_generator(checkpoint)
    _require_architecture(path, average, architecture)
    _require_same_size(path, average, size, c_dim)
    if isinstance(average, DCGAN):
        return _dcgan_from(path, checkpoint, average, seed), "D" in there
    assert isinstance(average, StyleGAN2)  # noqa: S101 - checked above
    generator = load_generator(checkpoint, "G") if "G" in there else copy.deepcopy(average)
    if not isinstance(generator, StyleGAN2) or generator.config != average.config:
        raise OptionError(f"--start {path}: its G and G_ema differ in shape", fix=ALONE)
    if "D" in there:
        discriminator = _discriminator(path, checkpoint, average)
    else:
        discriminator = new_networks(average.config, discriminator_config(average.config), seed).discriminator
    for network in (generator, discriminator):
        network.requires_grad_(requires_grad=True)
    return StyleGAN2Networks(generator, discriminator, _frozen_copy(average)), "D" in there


def _dcgan_from(path: Path, checkpoint: Checkpoint, average: DCGAN, seed: int) -> DCGANNetworks:
    """Load a DCGAN's networks; a discriminator that gives probabilities gives their logits from then on."""
    if "D" in checkpoint.networks:
        discriminator = load_discriminator(checkpoint)
        if not isinstance(discriminator, DCGANDiscriminator) or discriminator.config.size != average.size:
            raise OptionError(f"--start {path}: its discriminator scores other pictures", fix=ALONE)
        *layers, last = discriminator.config.layers
        shape = replace(discriminator.config, layers=(*layers, replace(last, activation="linear")))
        own = dict(discriminator.state_dict())
        discriminator = assemble(lambda: DCGANDiscriminator(shape), own)
    else:
        *_, base, _ = average.config.channels
        networks = new_networks(average.config, dcgan_discriminator_config(base, average.size), seed)
        assert isinstance(networks.discriminator, DCGANDiscriminator)  # noqa: S101 - of a DCGAN's shape
        discriminator = networks.discriminator
    generator = copy.deepcopy(average)
    for network in (generator, discriminator):
        network.train().requires_grad_(requires_grad=True)
    return DCGANNetworks(generator, discriminator, _frozen_copy(average))


def _networks_of_state(path: Path, size: Size, c_dim: int, seed: int) -> Networks:
    """Load both networks and the average of a run's state. Their shapes are stated in it, or by its config.yaml."""
    state = read_last_state(path)
    if not any(name.startswith("generator/") for name in state.tensors):
        raise OptionError(
            f"--start {path}: it is the state of an upscaler's run",
            fix="choose the state of a generator's run, or weights",
        )
    if "networks" in state.facts:
        stated = state.facts["networks"]
        generator = TypeAdapter[AnyConfig](AnyConfig).validate_python(stated["generator"])
        adapter = TypeAdapter[AnyDiscriminatorConfig](AnyDiscriminatorConfig)
        discriminator = adapter.validate_python(stated["discriminator"])
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


def _require_architecture(path: Path, generator: Generator, wanted: ArchitectureName) -> None:
    found = generator.architecture
    if found != wanted:
        fix = (
            f"train it with --architecture {found}"
            if found in get_args(ArchitectureName)
            else ("training goes on from StyleGAN2 and DCGAN files")
        )
        raise OptionError(f"--start {path}: it holds {title_of(generator)}", fix=fix)


def _require_same_size(path: Path, generator: Generator, size: Size, c_dim: int) -> None:
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


def _without_first(
    discriminator: nn.Module, layers: Sequence[nn.Module], frozen_layers: int
) -> list[nn.Parameter]:
    """Return the discriminator's parameters without those of so many of its layers."""
    if frozen_layers > len(layers):
        raise OptionError(
            f"--freeze-d {frozen_layers}: this discriminator has {counted(len(layers), 'convolution')}",
            fix="freeze at most that many",
        )
    frozen = {id(parameter) for layer in layers[:frozen_layers] for parameter in layer.parameters()}
    return [parameter for parameter in discriminator.parameters() if id(parameter) not in frozen]


def _frozen_copy(generator: M) -> M:
    return copy.deepcopy(generator).eval().requires_grad_(requires_grad=False)
