"""Weights files: fetched, read without running what they say, and written."""
