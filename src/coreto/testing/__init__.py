"""Fakes with behaviour for every seam, shipped so that users can test their own code."""
