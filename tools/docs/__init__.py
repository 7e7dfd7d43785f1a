"""Generators of the reference pages, each from the code that its page describes."""
