"""Prometheus exporter for the recordings of Cloudflare RealtimeKit meetings."""

__version__ = "0.1.0"
