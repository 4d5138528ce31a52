"""The analyzers, for loops that others wrote."""
