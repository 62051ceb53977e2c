"""The OpenAI-compatible server: raw ASGI for ``/v1``, FastAPI for ``/api``."""
