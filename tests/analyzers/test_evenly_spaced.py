"""A choice of points: as many as asked for, all different, the gaps alike."""

from __future__ import annotations

import torch
from hypothesis import given, strategies as st

from pinn.analyzers.evenly_spaced import evenly_spaced


@given(st.integers(1, 300), st.integers(1, 300))
def test_as_many_as_asked_for_and_gaps_that_differ_by_one_at_most(total: int, count: int) -> None:
    found = evenly_spaced(torch.zeros(total, 2), count)
    assert len(found) == min(count, total)
    assert found[0] == 0
    assert found[-1] < total
    gaps = found.diff()
    assert (gaps >= 1).all()
    assert not len(gaps) or gaps.max() - gaps.min() <= 1


@given(st.integers(1, 50), st.integers(0, 50))
def test_zero_stands_for_all(total: int, more: int) -> None:
    points = torch.zeros(total, 2)
    assert torch.equal(evenly_spaced(points, 0), torch.arange(total))
    assert torch.equal(evenly_spaced(points, total + more), torch.arange(total))
