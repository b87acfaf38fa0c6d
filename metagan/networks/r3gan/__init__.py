"""R3GAN."""

from metagan.networks.loading.architecture import Architecture
from metagan.networks.r3gan.load import READING, make_generator
from metagan.networks.r3gan.network import Config

ARCHITECTURE = Architecture(
    name="r3gan",
    title="R3GAN",
    readings=(READING,),
    config=Config,
    make=make_generator,
)

__all__ = ["ARCHITECTURE"]
