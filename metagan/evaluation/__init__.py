"""Measures how close generated pictures are to real ones, offline."""
