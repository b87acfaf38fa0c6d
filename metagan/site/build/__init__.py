"""Builds a site folder from a registry."""
