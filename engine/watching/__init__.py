"""Analyzers for loops that are trained elsewhere."""
