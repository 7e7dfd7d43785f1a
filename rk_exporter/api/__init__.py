"""The RealtimeKit client: HTTP, pages, and payloads parsed into frozen results."""
