"""Coreto: local and cloud language models that work as one."""
