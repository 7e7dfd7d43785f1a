"""Finding out: which meetings to read, reading them, and merging what was read."""
