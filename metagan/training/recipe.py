"""What `auto` stands for in a run's options: widths and hyper-parameters.

References:
    [1] Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958.
    [2] Karras et al. 2020, Training GANs with Limited Data, arXiv:2006.06676.
    [3] Karras et al. 2024, Analyzing and Improving the Training Dynamics of Diffusion Models, arXiv:2312.02696.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from metagan.networks.stylegan2.discriminator import DiscriminatorConfig
from metagan.networks.stylegan2.network import Config, MappingConfig
from metagan.training.options import Preset, Recipe


@dataclass(frozen=True)
class Widths:
    """A preset's network sizes.

    Args:
        base: Feature channels times resolution, where `most` doesn't bound them.
        most: The largest number of channels.
        latent: Width of latents and of styles.
        mapping_layers: Layers of the mapping network.
    """

    base: int
    most: int
    latent: int
    mapping_layers: int

    def channels(self, resolution: int) -> tuple[int, ...]:
        """Feature channels at 4x4, 8x8, ... up to `resolution`."""
        steps = range(2, resolution.bit_length())
        return tuple(min(self.most, max(8, self.base // 2**step)) for step in steps)


NARROW = 128  # channels at most of networks that processors train

PRESETS: dict[Preset, Widths] = {
    "tiny": Widths(base=1024, most=64, latent=64, mapping_layers=2),
    "small": Widths(base=2048, most=128, latent=128, mapping_layers=4),
    # What a visitor's browser draws in a moment and loads in one: about 1.2 million weights up to 128x128.
    "web": Widths(base=4096, most=112, latent=128, mapping_layers=4),
    "official": Widths(base=16384, most=512, latent=512, mapping_layers=8),
}


def choose_preset(resolution: int, device: str, pictures: int) -> Preset:
    """The widths for `--preset auto`: what the device can train in reasonable time, and the data can fill.

    On a processor the narrowest come furthest in an afternoon, as they make the most steps (docs/training.md).

    Args:
        resolution: The pictures' side in pixels.
        device: "cpu", "cuda" or "mps".
        pictures: How many there are.
    """
    if device == "cuda":
        return "official" if resolution >= 32 else "small"
    return "tiny" if resolution <= 64 or pictures < 200 else "small"


def choose_batch(resolution: int, world_size: int, device: str) -> int:
    """The batch for `--batch auto`: smaller on a processor, where more steps are worth more than smooth ones."""
    if device != "cuda":
        return 16 * world_size
    return max(min(world_size * min(4096 // resolution, 32), 64), 4 * world_size)


def choose_gamma(resolution: int, batch: int, most: int) -> float:
    """R1's weight for `--gamma auto`: in proportion to the pixels, and inversely to the batch.

    0.0002 is what the authors' own automatic setting multiplies them with. The narrow networks that processors train
    want far more: of apes at 64x64, the discriminator had won after 5,000 pictures with a weight of 2 (losses of
    0.14), and was held in balance by 5 (0.44) for hundreds of thousands.

    Args:
        resolution: The pictures' side in pixels.
        batch: Pictures a step.
        most: The discriminator's largest number of channels.
    """
    share = 0.02 if most <= NARROW else 0.0002
    return float(f"{share * resolution**2 / batch:.3g}")


def choose_pace(recipe: Recipe, auto: Collection[str], most: int, *, trained: bool) -> Recipe:
    """Choose what decides how fast a run learns: learning rate and its decay, style mixing, path lengths.

    The published pace ([1], [2]) for wide networks, and a faster one for narrow ones, whose runs are short. Networks
    as narrow as processors train learn at four times the published rate, and without mixed styles, in half the
    pictures (docs/training.md has the numbers). After 2,500 steps the rate falls, so that details settle. Path lengths
    would cost them steps.

    Args:
        recipe: What was asked for, its batch chosen.
        auto: Its fields that are left open.
        most: The generator's largest number of channels.
        trained: Whether the networks are trained already; a high rate would undo that.
    """
    narrow, fast = most <= NARROW, most <= NARROW and not trained
    # A rate that was asked for stays, unless a decay is asked for as well.
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


def generator_config(widths: Widths, resolution: int, c_dim: int, clamp: float | None = None) -> Config:
    """A new generator's shape: output skips, as published."""
    mapping = MappingConfig(
        z_dim=widths.latent,
        c_dim=c_dim,
        embed_dim=widths.latent if c_dim else 0,
        widths=(widths.latent,) * widths.mapping_layers,
    )
    return Config(mapping=mapping, channels=widths.channels(resolution), clamp=clamp)


def discriminator_config(generator: Config) -> DiscriminatorConfig:
    """A new discriminator's shape, for a generator: residual, as published, with the same channels."""
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
    )
