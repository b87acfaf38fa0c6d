"""Apes: layered portraits with traits, as NFT collections have them, drawn without any asset. CC0."""

from metagan.drawings.apes.draw import draw

__all__ = ["draw"]
