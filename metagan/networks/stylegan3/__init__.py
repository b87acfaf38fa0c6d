"""StyleGAN3, configurations T and R."""

from metagan.networks.loading.architecture import Architecture
from metagan.networks.stylegan3.load import OFFICIAL, make_generator
from metagan.networks.stylegan3.native import describe_program, prepare
from metagan.networks.stylegan3.network import Config

ARCHITECTURE = Architecture(
    name="stylegan3",
    title="StyleGAN3",
    readings=(OFFICIAL,),
    config=Config,
    make=make_generator,
    prepare=prepare,
    program=describe_program,
)

__all__ = ["ARCHITECTURE"]
