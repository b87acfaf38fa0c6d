"""R3GAN."""

from metagan.networks.architecture import Architecture
from metagan.networks.r3gan.load import READING, restore_generator

ARCHITECTURE = Architecture(
    name="r3gan",
    title="R3GAN",
    readings=(READING,),
    restore=restore_generator,
)

__all__ = ["ARCHITECTURE"]
