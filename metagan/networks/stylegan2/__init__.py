"""StyleGAN2 and StyleGAN2-ADA."""
