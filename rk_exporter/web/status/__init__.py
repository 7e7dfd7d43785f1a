"""What the exporter knows and how it is doing: a page for people, JSON for scripts, readiness."""
