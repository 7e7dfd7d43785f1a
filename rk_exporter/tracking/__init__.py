"""Recordings over time: their lifecycle, their counters, and the state file."""
