"""Archives: whether there is a copy of each recording in the users' own bucket."""
