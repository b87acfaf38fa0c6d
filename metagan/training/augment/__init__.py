"""Augmentation of training pictures (Karras et al. 2020, arXiv:2006.06676)."""
