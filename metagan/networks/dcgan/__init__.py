"""DCGANs built with Keras."""

from metagan.networks.architecture import Architecture
from metagan.networks.dcgan.load import KERAS, make_generator
from metagan.networks.dcgan.network import Config

ARCHITECTURE = Architecture(
    name="dcgan",
    title="DCGAN",
    readings=(KERAS,),
    config=Config,
    make=make_generator,
)

__all__ = ["ARCHITECTURE"]
