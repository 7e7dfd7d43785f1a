"""What any asynchronous service needs: clocks, back-off, logging, and blocking calls in threads."""
