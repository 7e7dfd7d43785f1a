"""The parts of an exporter: built from a configuration, and changed by the next one."""

from rk_exporter.exporter.exporter import Exporter


__all__ = ["Exporter"]
