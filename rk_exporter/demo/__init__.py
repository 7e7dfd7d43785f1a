"""The exporter and a simulated API in one process, with an optional Prometheus stack."""
