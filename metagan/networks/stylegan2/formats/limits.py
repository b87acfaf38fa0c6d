"""Refuses configurations that are consistent with their tensors but out of range, before building a network."""

from __future__ import annotations

from metagan.errors import MalformedFileError
from metagan.networks.loading.fields import are_positive, are_sizes, is_sane
from metagan.networks.ops import ACTIVATIONS
from metagan.networks.stylegan2.discriminator import Discriminator, DiscriminatorConfig
from metagan.networks.stylegan2.network import MAX_RESOLUTION, Config, StyleGAN2


def make_generator(config: Config) -> StyleGAN2:
    """Make a generator.

    Raises:
        MalformedFileError: If sizes, kernels or activations are out of range, or it would take long to build.
    """
    mapping = config.mapping
    sane = (
        config.channels
        and are_sizes(*config.constant)
        and config.size.longest <= MAX_RESOLUTION
        and mapping.widths
        and mapping.z_dim > 0
        and is_sane(mapping)
        and are_sizes(*config.channels, config.image_channels)
        and _are_kernels(config.kernel_size, config.filter_shape)
        and config.activation in ACTIVATIONS
        and are_positive(config.clamp)
    )
    if not sane:
        msg = f"its configuration is out of bounds: {config!r:.300}"
        raise MalformedFileError(msg)
    return StyleGAN2(config)


def make_discriminator(config: DiscriminatorConfig) -> Discriminator:
    """Make a discriminator. Raises the same errors as make_generator."""
    sane = (
        config.channels
        and are_sizes(*config.last_px)
        and config.size.longest <= MAX_RESOLUTION
        and (config.label_mapping is None or is_sane(config.label_mapping))
        and are_sizes(*config.channels, config.image_channels)
        and _are_kernels(config.kernel_size, config.filter_shape)
        and {config.activation, config.last_activation} <= ACTIVATIONS.keys()
        and 0 <= config.std_channels <= config.channels[-1]
        and (config.std_channels == 0 or config.channels[-1] % config.std_channels == 0)
    )
    if not sane:
        msg = f"its configuration is out of bounds: {config!r:.300}"
        raise MalformedFileError(msg)
    return Discriminator(config)


def _are_kernels(kernel_size: int, filter_shape: tuple[int, ...]) -> bool:
    """Return whether the kernel size is odd, and the filter is one-dimensional or square."""
    square = len(filter_shape) in (1, 2) and len(set(filter_shape)) == 1
    return kernel_size % 2 == 1 and square and are_sizes(kernel_size, *filter_shape)
