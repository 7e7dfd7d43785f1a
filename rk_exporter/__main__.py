"""Run `python -m rk_exporter`."""

from rk_exporter.cli import entry_point


entry_point()
