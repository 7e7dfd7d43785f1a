"""The status of the exporter: a page for people, JSON for scripts, readiness."""
