"""Generators for other programs: the browser's kernel."""
