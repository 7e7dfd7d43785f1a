"""Recordings over time: what is known of each, how it ended, and what a restart keeps."""
