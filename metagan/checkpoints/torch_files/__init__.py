"""Reads files written by torch.save: zip archives and the legacy layout."""
