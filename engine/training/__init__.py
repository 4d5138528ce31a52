"""A configuration trained, and opened again."""
