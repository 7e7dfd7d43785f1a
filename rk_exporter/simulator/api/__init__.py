"""The simulated API: the ASGI application, its endpoints, faults, rate limit and request log."""
