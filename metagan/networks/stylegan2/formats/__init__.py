"""Reads the file formats of StyleGAN2 networks, and writes the official one."""
