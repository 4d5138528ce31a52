"""Speed against peers; each program is run by hand from the repository root."""
