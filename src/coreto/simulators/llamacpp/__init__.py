"""The simulator of llama.cpp's router: `models`, `router` (its processes and their queue), `wire` (HTTP)."""
