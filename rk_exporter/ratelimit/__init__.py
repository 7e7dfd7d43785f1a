"""How many calls may be made: budget, rate limiter, circuit breaker and what the API reports."""
