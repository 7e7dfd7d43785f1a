"""The HTTP side: ASGI application, server and connection limits."""
