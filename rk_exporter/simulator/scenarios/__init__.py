"""Scenarios: how the meetings, sessions and recordings of a simulated account change over time."""
