"""What the papers found, looked for again: in recorded runs, on a laptop, at the papers' scale."""
