"""Prompts are files: versioned templates with typed variables, users' values, languages and measured variants.

``parsing`` reads a file, ``grammar`` says what a template may contain, ``sandbox`` and ``rendering`` fill it,
``library`` finds the version and language, ``experiments`` who meets which variant, ``statistics`` what came of it.
All of these are pure; ``files`` reads folders, and ``service`` puts everything together over a store.
"""

from importlib.util import find_spec

from coreto.errors import MissingExtraError

if find_spec("jinja2") is None:
    raise MissingExtraError("crews", "prompt templates")
