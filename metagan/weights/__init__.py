"""The generators that metagan ships (safetensors)."""
