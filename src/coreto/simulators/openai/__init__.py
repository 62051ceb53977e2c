"""The OpenAI-compatible simulator: `flavours` (who it imitates) and `wire` (HTTP)."""
