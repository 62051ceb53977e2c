"""The Ollama simulator: `models` (registry), `scheduler` (pure), `engine` (its clock), `wire` (HTTP)."""
