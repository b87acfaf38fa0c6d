"""The StyleGAN2 variant of lucidrains' stylegan2-pytorch."""

from metagan.networks.loading.architecture import Architecture
from metagan.networks.lucidrains.load import LUCIDRAINS, make_generator
from metagan.networks.lucidrains.network import Config

ARCHITECTURE = Architecture(
    name="lucidrains",
    title="lucidrains' StyleGAN2",
    readings=(LUCIDRAINS,),
    config=Config,
    make=make_generator,
)

__all__ = ["ARCHITECTURE"]
