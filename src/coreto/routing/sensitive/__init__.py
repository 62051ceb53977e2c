"""Finders of sensitive data, one module a family: numbers, contacts, keys, passwords, places, prose.

Each finder takes a :class:`~coreto.routing.sensitive.folding.Folded` text and yields spans in its
offsets; ``coreto.routing.privacy`` puts them together and gives the offsets of the text as it came.
"""
