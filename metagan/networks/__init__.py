"""The generators themselves, one package an architecture."""
