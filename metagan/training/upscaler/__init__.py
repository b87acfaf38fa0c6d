"""Trains upscalers: super-resolution networks for one collection's real and generated pictures."""
