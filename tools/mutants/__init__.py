"""Change the code in small ways, and see whether a test fails: `make mutants`."""
