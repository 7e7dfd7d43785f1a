"""Webhooks: signed events of RealtimeKit, which make reads due."""
