"""StyleGAN2 and StyleGAN2-ADA."""

from metagan.networks.stylegan2.load import (
    discriminator_from_official,
    explain_mismatch,
    generator_from_official,
    recognises,
    restore_generator,
)

__all__ = [
    "discriminator_from_official",
    "explain_mismatch",
    "generator_from_official",
    "recognises",
    "restore_generator",
]
