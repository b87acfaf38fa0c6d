"""Pickles, read by an inert machine: nothing they name is imported or called."""
