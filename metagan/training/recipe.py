"""Resolves `auto` in a run's options: widths and hyper-parameters.

References:
    [1] Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958.
    [2] Karras et al. 2020, Training GANs with Limited Data, arXiv:2006.06676.
    [3] Karras et al. 2024, Analyzing and Improving the Training Dynamics of Diffusion Models, arXiv:2312.02696.
    [4] Radford et al. 2016, Unsupervised Representation Learning with Deep Convolutional GANs, arXiv:1511.06434.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from metagan.networks.dcgan.network import Config as DCGANConfig
from metagan.networks.dcgan.network import LayerConfig
from metagan.networks.stylegan2.discriminator import DiscriminatorConfig
from metagan.networks.stylegan2.network import Config, MappingConfig
from metagan.training.options import Preset, Recipe
from metagan.values import Size


@dataclass(frozen=True)
class Widths:
    """A preset's network sizes.

    Args:
        base: Feature channels times resolution, before `most` bounds them.
        most: The largest number of channels.
        latent: Width of latents and of styles.
        mapping_layers: Layers of the mapping network.
    """

    base: int
    most: int
    latent: int
    mapping_layers: int

    def channels(self, size: Size | int) -> tuple[int, ...]:
        """Return the feature channels at 4x4, 8x8, ... up to a size, or to what a rectangle's constant doubles to."""
        steps = range(2, Size.of(size).doublings + 3)
        return tuple(min(self.most, max(8, self.base // 2**step)) for step in steps)


GROUP = 4  # pictures per minibatch-std group
NARROW = 128  # largest number of channels of networks that are trained on CPUs

PRESETS: dict[Preset, Widths] = {
    "tiny": Widths(base=1024, most=64, latent=64, mapping_layers=2),
    "small": Widths(base=2048, most=128, latent=128, mapping_layers=4),
    # Small enough to download and run quickly in a browser: about 1.2 million weights up to 128x128.
    "web": Widths(base=4096, most=112, latent=128, mapping_layers=4),
    "official": Widths(base=16384, most=512, latent=512, mapping_layers=8),
}


def choose_preset(size: Size | int, device: str, pictures: int) -> Preset:
    """Choose the widths for `--preset auto`, by what the device can train and the data support.

    On a CPU the narrowest networks get best results within hours, because they make the most steps (docs/training.md).

    Args:
        size: Of the pictures; the side of squares.
        device: "cpu", "cuda" or "mps".
        pictures: Number of pictures.
    """
    resolution = Size.of(size).longest
    if device == "cuda":
        return "official" if resolution >= 32 else "small"
    return "tiny" if resolution <= 64 or pictures < 200 else "small"


def choose_batch(size: Size | int, world_size: int, device: str) -> int:
    """Choose the batch size for `--batch auto`: smaller on a CPU, where more steps matter more.

    It is a multiple of a minibatch-std group on each device.
    """
    if device != "cuda":
        return 16 * world_size
    least = GROUP * world_size
    most = min(world_size * min(4096 // Size.of(size).longest, 32), 64)
    return max(most // least, 1) * least


def choose_gamma(size: Size | int, batch: int, most: int) -> float:
    """Choose R1's weight for `--gamma auto`: proportional to the number of pixels, and inversely to the batch.

    The factor of 0.0002 is that of the authors' automatic setting. The narrow networks that are trained on CPUs
    need a much larger weight: on apes at 64x64, the discriminator had won after 5,000 pictures with a weight of 2
    (losses of 0.14), and stayed in balance with 5 (0.44) for hundreds of thousands.

    Args:
        size: Of the pictures; the side of squares.
        batch: Pictures per step.
        most: The discriminator's largest number of channels.
    """
    share = 0.02 if most <= NARROW else 0.0002
    return float(f"{share * Size.of(size).pixels / batch:.3g}")


def choose_pace(recipe: Recipe, auto: Collection[str], most: int, *, trained: bool) -> Recipe:
    """Choose the learning rate and its decay, style mixing and path length regularisation.

    Wide networks get the published values ([1], [2]), and narrow ones faster ones, because their runs are short. The
    narrow networks that are trained on CPUs learn in half the pictures at four times the published rate and without
    style mixing (docs/training.md has the numbers). After 2,500 steps the rate decays, so that details converge. Path
    length regularisation is off there, because it would take time from steps.

    Args:
        recipe: The requested values, with the batch size resolved.
        auto: Names of its fields that are "auto".
        most: The generator's largest number of channels.
        trained: Whether the networks are already trained; a high rate would destroy that.
    """
    narrow, fast = most <= NARROW, most <= NARROW and not trained
    # An explicit rate stays constant, unless a decay is requested as well.
    decays = fast and "learning_rate" in auto
    if "learning_rate" in auto:
        recipe = replace(recipe, learning_rate=0.01 if fast else 0.0025)
    if "lr_decay_kimg" in auto:
        recipe = replace(recipe, lr_decay_kimg=2.5 * recipe.batch if decays else 0.0)
    if "style_mixing" in auto:
        recipe = replace(recipe, style_mixing=0.0 if narrow else 0.9)
    if "path_weight" in auto:
        recipe = replace(recipe, path_weight=0.0 if narrow else 2.0)
    return recipe


def generator_config(widths: Widths, size: Size | int, c_dim: int, clamp: float | None = None) -> Config:
    """Return a new generator's configuration: output skips, as published."""
    mapping = MappingConfig(
        z_dim=widths.latent,
        c_dim=c_dim,
        embed_dim=widths.latent if c_dim else 0,
        widths=(widths.latent,) * widths.mapping_layers,
    )
    coarsest = Size.of(size).coarsest
    return Config(
        mapping=mapping,
        channels=widths.channels(size),
        clamp=clamp,
        constant=(coarsest.height, coarsest.width),
    )


def discriminator_config(generator: Config) -> DiscriminatorConfig:
    """Return a new discriminator's configuration: residual, as published, with the generator's channels."""
    channels, own = generator.channels, generator.mapping
    mapping = None
    if own.c_dim:
        mapping = MappingConfig(
            z_dim=0,
            c_dim=own.c_dim,
            embed_dim=channels[0],
            widths=(channels[0],) * len(own.widths),
            has_mean_style=False,
        )
    return DiscriminatorConfig(
        channels=channels[::-1],
        image_channels=generator.image_channels,
        clamp=generator.clamp,
        label_mapping=mapping,
        last_px=generator.constant,
    )


# --------------------------------------------------------------------------------------------
# DCGAN ([4] section 3 and figure 1): strided convolutions, batch normalisation, ReLU and LeakyReLU

DCGAN_BASE: dict[Preset, int] = {"tiny": 32, "small": 64, "official": 128}
"""Feature channels at half the resolution, of both networks, which double with each halving; the last is [4]'s."""

DCGAN_MOST = 1024  # feature channels
DCGAN_LATENT = 100
DCGAN_BATCH = 32  # on each device; batch normalisation wants more pictures than StyleGAN2 does
DCGAN_KERNEL = 4  # a multiple of the stride, so that transposed convolutions overlap evenly
DCGAN_SLOPE = 0.2


def _dcgan_channels(base: int, size: Size) -> tuple[int, ...]:
    """Return the feature channels at the coarsest size, twice that, ... up to half a size."""
    steps = range(size.doublings)
    return tuple(min(DCGAN_MOST, base * 2**step) for step in reversed(steps))


def dcgan_config(base: int, size: Size, *, transposed: bool) -> DCGANConfig:
    """Return a new DCGAN generator's configuration.

    Args:
        base: Feature channels at half the resolution.
        size: Of the pictures.
        transposed: Whether features are doubled by transposed convolutions, or by repeating pixels before plain ones.
    """
    first, *wider = _dcgan_channels(base, size)
    small, norm, relu = (
        size.coarsest,
        LayerConfig("norm", bias=True),
        LayerConfig("activation", activation="relu"),
    )
    layers = [
        LayerConfig("dense", small.pixels * first),
        LayerConfig("reshape", shape=(small.height, small.width, first)),
    ]
    for channels in (*wider, 3):
        layers += [norm, relu]
        if transposed:
            layers += [LayerConfig("conv_transpose", channels, DCGAN_KERNEL, stride=2)]
        else:
            layers += [LayerConfig("upsample", stride=2), LayerConfig("conv", channels, kernel_size=3)]
    layers[-1] = replace(layers[-1], bias=True, activation="tanh")
    return DCGANConfig((DCGAN_LATENT,), tuple(layers))


def dcgan_discriminator_config(base: int, size: Size) -> DCGANConfig:
    """Return a new DCGAN discriminator's configuration: a logit, not normalised at the input as in [4]."""
    layers: list[LayerConfig] = []
    for channels in reversed(_dcgan_channels(base, size)):
        layers += [LayerConfig("conv", channels, DCGAN_KERNEL, stride=2, bias=not layers)]
        if len(layers) > 1:
            layers += [LayerConfig("norm", bias=True)]
        layers += [LayerConfig("leaky_relu", slope=DCGAN_SLOPE)]
    layers += [LayerConfig("flatten"), LayerConfig("dense", 1, bias=True)]
    return DCGANConfig((size.height, size.width, 3), tuple(layers))


def choose_dcgan(recipe: Recipe, auto: Collection[str]) -> Recipe:
    """Choose what is auto for a DCGAN: the settings of [4] section 4 and of the projects that used it.

    There is no R1, no path length regularisation and no style mixing.

    Args:
        recipe: The requested values.
        auto: Names of its fields that are "auto".
    """
    usual: dict[str, Any] = {
        "learning_rate": 0.0002,
        "discriminator_rate": 0.5,
        "beta1": 0.5,
        "label_smoothing": 0.1,
        "dropout": 0.25,
        "augmentation": "none",
    }
    recipe = replace(recipe, **{name: value for name, value in usual.items() if name in auto})
    return replace(recipe, gamma=0.0, r1_interval=0, path_weight=0.0, style_mixing=0.0, beta2=0.999)
