"""The benchmark: the exporter as a process, against the simulated API as another."""
