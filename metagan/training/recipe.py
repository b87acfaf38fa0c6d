"""What decides a training run's numbers: widths and hyper-parameters, complete and frozen.

References:
    [1] Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958.
    [2] Karras et al. 2020, Training GANs with Limited Data, arXiv:2006.06676.
    [3] Karras et al. 2024, Analyzing and Improving the Training Dynamics of Diffusion Models, arXiv:2312.02696.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator

from metagan.networks.stylegan2.discriminator import DiscriminatorConfig
from metagan.networks.stylegan2.network import Config, MappingConfig
from metagan.values import precision_of_today

Preset = Literal["tiny", "small", "web", "official"]
Augmentation = Literal["none", "fixed", "adaptive"]
# The names that config.yaml had in earlier versions are read as today's.
TrainPrecision = Annotated[Literal["fp32", "bf16"], BeforeValidator(precision_of_today)]


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


@dataclass(frozen=True)
class Recipe:
    """Every number that the trained weights depend on, besides the pictures and the networks' shapes.

    Args:
        seed: Of the weights' initialisation, the order of pictures and all that is drawn while training.
        batch: Pictures per step, over all devices.
        micro_batch: Pictures at once on one device; the gradients of several are added up.
        learning_rate: Adam's, before the correction for lazy regularisation ([1] appendix B).
        lr_decay_kimg: Thousands of pictures from which on the rate falls with the square root of the pictures seen
            ([3]); 0 holds it.
        discriminator_rate: Learning rate of the discriminator, as a multiple of the generator's.
        gamma: R1's weight; its penalty is gamma/2 times the squared gradient.
        r1_interval: Steps between two R1 penalties; 0 switches R1 off.
        path_weight: Path-length regularisation's weight; 0 switches it off.
        path_interval: Steps between two path-length penalties.
        path_shrink: Path lengths are measured on the batch divided by this.
        style_mixing: Share of pictures made of two latents' styles.
        ema_kimg: Half-life of the generator's moving average, in thousands of pictures.
        ema_rampup: The half-life is at most this share of the pictures seen so far; 0 for no such bound.
        mirror: Whether pictures are also shown mirrored, half of the time.
        augmentation: "adaptive" finds the strength by itself ([2] section 3), "fixed" keeps `augment_p`.
        augment_groups: Which transforms take part, by name in augment.GROUPS.
        augment_p: The strength at the beginning.
        augment_target: What the mean sign of the logits of real pictures is steered to.
        augment_kimg: Thousands of pictures in which the strength may go from 0 to 1.
        augment_interval: Steps between two adjustments.
        freeze_d: Layers of the discriminator, from the picture's end, that keep their weights (transfer).
        d_warmup_kimg: Thousands of pictures at the beginning in which only the discriminator learns, for one that
            has to catch up with a trained generator.
        precision: What the networks compute in, "fp32" or "bf16"; weights and losses are always float32.
    """

    seed: int = 0
    batch: int = 32
    micro_batch: int = 32
    learning_rate: float = 0.0025
    lr_decay_kimg: float = 0.0
    discriminator_rate: float = 1.0
    gamma: float = 1.0
    r1_interval: int = 16
    path_weight: float = 2.0
    path_interval: int = 4
    path_shrink: int = 2
    style_mixing: float = 0.9
    ema_kimg: float = 10.0
    ema_rampup: float = 0.05
    mirror: bool = False
    augmentation: Augmentation = "adaptive"
    augment_groups: tuple[str, ...] = ("blit", "geometry", "colour")
    augment_p: float = 0.0
    augment_target: float = 0.6
    augment_kimg: float = 500.0
    augment_interval: int = 4
    freeze_d: int = 0
    d_warmup_kimg: float = 0.0
    precision: TrainPrecision = "fp32"


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


@dataclass(frozen=True)
class Pace:
    """What `auto` stands for in the options that decide how fast a run learns; see Recipe.

    Args:
        learning_rate: For `--lr`.
        lr_decay_kimg: For `--lr-decay`.
        style_mixing: For `--style-mixing`.
        path_weight: For `--path-weight`.
    """

    learning_rate: float = 0.0025
    lr_decay_kimg: float = 0.0
    style_mixing: float = 0.9
    path_weight: float = 2.0


def choose_pace(batch: int, most: int, *, trained: bool) -> Pace:
    """The published pace ([1], [2]) for wide networks, and a brisker one for narrow ones, whose runs are short.

    Networks as narrow as processors train learn at four times the published rate, and without mixed styles, in half the
    pictures (docs/training.md has the numbers). After 2,500 steps the rate falls, so that details settle. Path lengths
    would cost them steps.

    Args:
        batch: Pictures a step.
        most: The generator's largest number of channels.
        trained: Whether the networks are trained already; a high rate would undo that.
    """
    if most > NARROW:
        return Pace()
    if trained:
        return Pace(style_mixing=0.0, path_weight=0.0)
    return Pace(learning_rate=0.01, lr_decay_kimg=2.5 * batch, style_mixing=0.0, path_weight=0.0)


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
