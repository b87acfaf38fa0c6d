"""Where collections come from: a module a source."""
