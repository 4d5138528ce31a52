"""Examples on which a property is tried, alike in all checks."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from torch import Tensor

from pinn.core.domain import Box, Shape
from pinn.testing.trial import Check, Trial


def points_in(domain: Shape, count: int, seed: int = 0) -> Tensor:
    """Uniformly distributed points (count, dimension), in double precision."""
    low, high = torch.tensor([domain.lower, domain.upper], dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    found = low.new_empty(0, len(low))
    while len(found) < count:
        unit = torch.rand(count, len(low), generator=generator, dtype=low.dtype)
        points = low + (high - low) * unit
        found = torch.cat([found, points[torch.from_numpy(domain.inside(points.numpy()))]])
    return found[:count]


SETTINGS = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate, Phase.shrink),  # explaining traces every line, for seconds
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def for_examples(**strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Check]:
    """A check that tries a part with 25 examples, the same ones every time.

    >>> @for_examples(number=st.integers())
    ... def its_options_do_not_count(trial: Trial, number: int) -> None: ...
    """

    def decorate(check: Callable[..., None]) -> Check:
        @wraps(check)
        def tried(trial: Trial) -> None:
            @SETTINGS
            @given(**strategies)
            def try_one(**example: Any) -> None:
                check(trial, **example)

            try_one()

        return tried

    return decorate


def boxes(most: int = 4) -> st.SearchStrategy[Box]:
    """Of one to `most` dimensions, some far from the origin, some thin."""
    interval = st.tuples(st.floats(-100, 100), st.floats(1e-3, 50))
    return st.lists(interval, min_size=1, max_size=most).map(
        lambda found: Box(**{f"x{i}": (low, low + width) for i, (low, width) in enumerate(found)})
    )
