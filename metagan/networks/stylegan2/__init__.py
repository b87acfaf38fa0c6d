"""StyleGAN2 and StyleGAN2-ADA."""

from metagan.networks.architecture import Architecture
from metagan.networks.stylegan2.fast import prepare
from metagan.networks.stylegan2.load import OFFICIAL
from metagan.networks.stylegan2.network import Config
from metagan.networks.stylegan2.official import to_official
from metagan.networks.stylegan2.rosinality import ROSINALITY
from metagan.networks.stylegan2.sanity import make_generator
from metagan.networks.stylegan2.tensorflow import TENSORFLOW

ARCHITECTURE = Architecture(
    name="stylegan2",
    title="StyleGAN2",
    readings=(OFFICIAL, TENSORFLOW, ROSINALITY),
    config=Config,
    make=make_generator,
    to_official=to_official,
    prepare=prepare,
    recordable=True,
)

__all__ = ["ARCHITECTURE"]
