"""The static site: its pages, build, preview server and publishing."""
