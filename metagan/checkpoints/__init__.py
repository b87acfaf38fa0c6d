"""Reads weights files without running code from them, and writes metagan's own."""
