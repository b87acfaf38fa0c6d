"""Keras models: HDF5 files, zips and SavedModel folders."""
