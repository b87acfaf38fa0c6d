"""DCGANs as hobby projects build them with Keras, and as `metagan train --architecture dcgan` makes them."""

from metagan.networks.dcgan.load import KERAS, make_generator
from metagan.networks.dcgan.network import Config
from metagan.networks.loading.architecture import Architecture

ARCHITECTURE = Architecture(
    name="dcgan",
    title="DCGAN",
    readings=(KERAS,),
    config=Config,
    make=make_generator,
)

__all__ = ["ARCHITECTURE"]
