"""Serves a site on this machine, for previews."""
