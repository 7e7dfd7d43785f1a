"""Grafana dashboards as code. `python -m dashboards` writes the generated files."""
