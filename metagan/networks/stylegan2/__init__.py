"""StyleGAN2 and StyleGAN2-ADA."""

from metagan.networks.architecture import Architecture
from metagan.networks.stylegan2.load import OFFICIAL, restore_generator

ARCHITECTURE = Architecture(
    name="stylegan2", title="StyleGAN2", readings=(OFFICIAL,), restore=restore_generator
)

__all__ = ["ARCHITECTURE"]
