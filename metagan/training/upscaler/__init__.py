"""Training of upscalers: super-resolution networks for one collection's pictures, and for what is generated of it."""
