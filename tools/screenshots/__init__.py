"""The pictures in docs/images: of the running demo, and of weeks in simulated time."""
