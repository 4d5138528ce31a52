"""Checks for parts that others write. They need hypothesis: `pip install pinn-dynamics[test]`."""

from pinn.core.testing.invariants import (
    arrays,
    check_agreement,
    check_bounds,
    check_invariant,
    duplicated,
    permuted,
    scaled,
    shifted,
    sign_flipped,
)

__all__ = [
    "arrays",
    "check_agreement",
    "check_bounds",
    "check_invariant",
    "duplicated",
    "permuted",
    "scaled",
    "shifted",
    "sign_flipped",
]
