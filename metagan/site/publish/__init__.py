"""Publishes a built site to a branch, a folder or a cloud storage."""
