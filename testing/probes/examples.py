"""How hypothesis looks for examples that break a property, alike in all checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from pinn.core.domain import Box


def for_examples(**strategies: st.SearchStrategy[Any]) -> Callable[..., None]:
    """Call the decorated function at once, with 25 examples, the same ones every time.

    >>> @for_examples(number=st.integers())
    ... def _(number: int) -> None:
    ...     assert number == number
    """

    def call(check: Callable[..., None]) -> None:
        configured = settings(
            max_examples=25,
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.generate, Phase.shrink),  # explaining traces every line, for seconds
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )
        configured(given(**strategies)(check))()

    return call


def boxes(most: int = 4) -> st.SearchStrategy[Box]:
    """Of one to `most` dimensions, some far from the origin, some thin."""
    interval = st.tuples(st.floats(-100, 100), st.floats(1e-3, 50))
    return st.lists(interval, min_size=1, max_size=most).map(
        lambda found: Box(**{f"x{i}": (low, low + width) for i, (low, width) in enumerate(found)})
    )
