"""Reference pages that are generated from the code; each module has a pure function for a page."""
