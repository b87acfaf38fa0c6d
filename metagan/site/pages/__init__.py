"""The content of pages, and their HTML. Nothing here imports torch."""
