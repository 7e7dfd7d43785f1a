"""The values that the packages share, all of them frozen."""
