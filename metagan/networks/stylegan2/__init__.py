"""StyleGAN2 and StyleGAN2-ADA."""

from metagan.networks.loading.architecture import Architecture
from metagan.networks.stylegan2.formats.official import OFFICIAL, make_generator, to_official
from metagan.networks.stylegan2.formats.rosinality import BASICSR, ROSINALITY, to_rosinality
from metagan.networks.stylegan2.formats.tensorflow import TENSORFLOW
from metagan.networks.stylegan2.native import describe_program, prepare
from metagan.networks.stylegan2.network import Config

ARCHITECTURE = Architecture(
    name="stylegan2",
    title="StyleGAN2",
    readings=(OFFICIAL, TENSORFLOW, ROSINALITY, BASICSR),
    config=Config,
    make=make_generator,
    layouts={"official": to_official, "rosinality": to_rosinality},
    prepare=prepare,
    program=describe_program,
    recordable=True,
)

__all__ = ["ARCHITECTURE"]
