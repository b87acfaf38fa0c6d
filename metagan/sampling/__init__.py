"""Seeds to latents to batches of uint8 pictures."""
