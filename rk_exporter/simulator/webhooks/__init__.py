"""Webhooks of the simulated API: signed events about its recordings and meetings."""
