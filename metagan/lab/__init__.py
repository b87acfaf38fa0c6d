"""Tools for a trained generator: project pictures, film walks, find directions."""
