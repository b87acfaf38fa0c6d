"""The static site: contexts, HTML, and the build around them."""
