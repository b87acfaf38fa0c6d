"""The sources of collections, one module each."""
