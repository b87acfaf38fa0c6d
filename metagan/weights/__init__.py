"""The generators that metagan ships (safetensors), what goes with them, and items of their collections (.jsonl.xz)."""
