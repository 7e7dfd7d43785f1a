"""Tools for releases: a check of the commit, the list of licences, and a bill of materials."""
