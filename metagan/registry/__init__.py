"""registry.yaml, read and validated into frozen models."""
