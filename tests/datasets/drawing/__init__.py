"""Tests of metagan.datasets.drawing."""
