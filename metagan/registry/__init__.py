"""What people write: registry.yaml, read into frozen models."""
