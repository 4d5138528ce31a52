"""What depends on the points alone is computed once, and again for other points."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from pinn.engine.training.of_points import Kept, split


def fitted(slope: Tensor, points: Tensor) -> Tensor:
    return slope * torch.sin(points).exp() + torch.tanh(slope) + points.cos()


def operations(graph: torch.fx.GraphModule) -> list[str]:
    return [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]


def test_the_parts_are_the_whole() -> None:
    slope, points = torch.tensor(3.0), torch.linspace(0, 1, 5)
    of_points, rest = split(make_fx(fitted)(slope, points), [False, True])
    assert operations(of_points) == ["aten.sin.default", "aten.exp.default", "aten.cos.default"]
    assert operations(rest) == [
        "aten.mul.Tensor", "aten.tanh.default", "aten.add.Tensor", "aten.add.Tensor",
    ]  # fmt: skip
    other = torch.tensor(-0.5)
    found = rest(other, points, *of_points(other, points))
    assert torch.equal(found, fitted(other, points))


def random(slope: Tensor, points: Tensor) -> Tensor:
    return slope * torch.rand_like(points)


def in_place(slope: Tensor, points: Tensor) -> Tensor:
    return points.sin().add_(slope)


@pytest.mark.parametrize("function", [random, in_place])
def test_what_must_happen_every_time_is_not_split_off(
    function: Callable[[Tensor, Tensor], Tensor],
) -> None:
    slope, points = torch.tensor(3.0), torch.linspace(0, 1, 5)
    of_points, rest = split(make_fx(function)(slope, points), [False, True])
    assert operations(of_points) == []
    assert len(operations(rest)) == 2


def test_points_are_asked_about_once_until_they_are_others() -> None:
    asked = []

    def doubled(points: Tensor) -> tuple[Tensor]:
        asked.append(points)
        return (2 * points,)

    kept = Kept(doubled)

    def check(points: Tensor, times: int) -> None:
        assert torch.equal(kept([points], [points])[0], 2 * points)
        assert len(asked) == times

    points = torch.arange(6.0)
    check(points, 1)
    check(points, 1)
    check(points[:3], 2)
    check(points[3:], 3)
    check(points[:3], 3)
    check(points, 3)
    check(points.reshape(2, 3), 4)
    points += 1
    check(points, 5)
    other = torch.arange(6.0)
    check(other, 6)
    assert len(kept._found) == 1
