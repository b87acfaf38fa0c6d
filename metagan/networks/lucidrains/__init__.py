"""The StyleGAN2 variant of lucidrains' stylegan2-pytorch."""

from metagan.networks.architecture import Architecture
from metagan.networks.lucidrains.load import LUCIDRAINS, restore_generator

ARCHITECTURE = Architecture(
    name="lucidrains", title="lucidrains' StyleGAN2", readings=(LUCIDRAINS,), restore=restore_generator
)

__all__ = ["ARCHITECTURE"]
