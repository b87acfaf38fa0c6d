"""VQGAN: an autoencoder of pictures whose features are entries of a learnt codebook (Esser et al. 2021)."""

from metagan.networks.vqgan.load import find_configuration, is_vqgan, load_vqgan
from metagan.networks.vqgan.network import VQGAN, VQGANConfig, recompute

__all__ = ["VQGAN", "VQGANConfig", "find_configuration", "is_vqgan", "load_vqgan", "recompute"]
