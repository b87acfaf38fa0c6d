"""The files that hold StyleGAN2 networks, and the official layout back."""
