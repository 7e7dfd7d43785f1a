"""Recordings over time: their lives, their counters, and the state file."""
