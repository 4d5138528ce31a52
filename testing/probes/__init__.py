"""What the checks look through."""
