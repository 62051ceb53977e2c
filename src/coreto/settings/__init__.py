"""Typed, frozen settings from ``coreto.toml``, ``.env`` and the environment."""
