"""Apes: layered portraits with traits, like NFT collections, drawn without any asset. CC0."""

from metagan.drawings.apes.draw import draw

__all__ = ["draw"]
