"""Showing: metric families from a snapshot, and their text."""
