"""Wrappers of a provider that keep a call alive: timeouts, checks, retry, breaker, fallback."""
