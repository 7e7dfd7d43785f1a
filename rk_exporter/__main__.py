"""Run `python -m rk_exporter`."""

from rk_exporter.cli import main


main(prog_name="rk-exporter")
