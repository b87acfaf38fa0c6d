"""A preview of a site on this machine."""
