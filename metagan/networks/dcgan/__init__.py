"""DCGANs built with Keras."""

from metagan.networks.architecture import Architecture
from metagan.networks.dcgan.load import KERAS, restore_generator

ARCHITECTURE = Architecture(
    name="dcgan",
    title="DCGAN",
    readings=(KERAS,),
    restore=restore_generator,
)

__all__ = ["ARCHITECTURE"]
