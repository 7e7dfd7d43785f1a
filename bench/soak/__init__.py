"""A soak: the exporter under load, faults and changes, and what must not grow (`make soak`)."""
