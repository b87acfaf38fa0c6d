"""Trains generators: the StyleGAN2-ADA recipe: a folder of pictures to a generator."""
