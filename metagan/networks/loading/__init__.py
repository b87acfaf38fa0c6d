"""Detects which network a checkpoint holds, and builds it."""
