"""Run `python -m rk_exporter`."""

from rk_exporter.cli.main import entry_point


entry_point()
