"""Trained StyleGANs, made into published “This X Does Not Exist” sites."""

__version__ = "0.2.0"
