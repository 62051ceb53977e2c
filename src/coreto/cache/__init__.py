"""The response cache: exact answers kept for a while, and one upstream call for many identical ones.

Nothing in here ever fails a call: a store that is down, full or damaged is a miss, counted and logged.
See :mod:`coreto.cache.cached` for what is kept and what is not, :mod:`coreto.cache.keys` for who shares.
"""
