"""Networks that are odd or even: exactly, with all derivatives, and no others than they should be."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from pinn.core import Box, PinnError
from pinn.core.view import hidden_layers
from pinn.engine.derivatives import coordinate
from pinn.engine.derivatives.jets import jets
from pinn.plugins.networks.mirrored import Mirrored
from pinn.plugins.networks.mlp import MLP
from pinn.plugins.networks.modified_mlp import ModifiedMLP
from pinn.plugins.networks.pirate_net import PirateNet

BOX = Box(x=(-1, 2), y=(0, 3))
OUTPUTS = ("u", "v")
PARITIES = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from([-1, 1]) for name in BOX.names}
)


def build(part: Any, seed: int = 0) -> Any:
    return part.build(BOX, OUTPUTS, torch.Generator().manual_seed(seed)).double()


def places(count: int = 5) -> Tensor:
    unit = torch.rand(count, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.tensor(BOX.lower) + unit * 3


def reflected(x: Tensor, *axes: int) -> Tensor:
    image = x.clone()
    for axis in axes:
        image[:, axis] = BOX.lower[axis] + BOX.upper[axis] - x[:, axis]
    return image


@given(PARITIES, PARITIES, st.integers(0, 100))
def test_each_output_has_its_parities_and_nothing_else_is_lost(
    of_u: dict[str, int], of_v: dict[str, int], seed: int
) -> None:
    network, x = build(MLP(width=6, depth=2), seed), places()
    module = Mirrored(network, BOX, [of_u, of_v]).double()
    found = module(x).detach()
    for k, own in enumerate((of_u, of_v)):
        expected = network(x).detach()[:, k]
        for axis, name in enumerate(BOX.names):
            if name in own:
                image = module(reflected(x, axis)).detach()[:, k]
                torch.testing.assert_close(image, own[name] * found[:, k], rtol=1e-12, atol=1e-14)
        if own:  # the projection by hand, one reflection after another
            a, b = own.get("x", 0), own.get("y", 0)
            images = {
                axes: network(reflected(x, *axes)).detach()[:, k] for axes in ((0,), (1,), (0, 1))
            }
            in_x = (expected + a * images[0,]) / 2 if a else expected
            after_y = (images[1,] + a * images[0, 1]) / 2 if a else images[1,]
            expected = (in_x + b * after_y) / 2 if b else in_x
        torch.testing.assert_close(found[:, k], expected, rtol=1e-12, atol=1e-14)


@given(PARITIES)
def test_what_has_the_parities_already_stays_as_it_is(own: dict[str, int]) -> None:
    once = Mirrored(build(MLP(width=6, depth=2)), BOX, [own, own]).double()
    twice = Mirrored(once, BOX, [own, own]).double()
    torch.testing.assert_close(twice(places()), once(places()), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("part", [MLP, ModifiedMLP, PirateNet])
@pytest.mark.parametrize("periodic", [[], ["x"]])
def test_derivatives_have_the_parities(part: Any, periodic: list[str]) -> None:
    module = build(part(width=6, depth=3, odd=["y"], even=["x"], periodic=periodic, modes=2))
    wanted = jets([{(3, 0): 1.0}, {(1, 2): 1.0}])

    def at(x: Tensor) -> Any:
        columns: Any = [coordinate(x[:, i : i + 1], i, wanted) for i in range(2)]
        return module(torch.cat(columns, -1))

    here, in_x, in_y = at(places()), at(reflected(places(), 0)), at(reflected(places(), 1))
    for monomial in wanted.monomials:
        a, b, c = (s.read({monomial: 1.0}).detach() for s in (here, in_x, in_y))
        torch.testing.assert_close(b, (-1) ** monomial[0] * a, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(c, -((-1) ** monomial[1]) * a, rtol=1e-10, atol=1e-10)


def test_where_it_is_periodic_and_even_it_sees_cosines_alone() -> None:
    module = build(MLP(width=6, depth=1, periodic=["x"], even=["x"], modes=4))
    assert not isinstance(module, Mirrored)
    x = places()
    modes = torch.arange(1, 5, dtype=torch.float64)
    waves = torch.cos(torch.outer(x[:, 0] - 0.5, 2 * torch.pi / 3 * modes))
    torch.testing.assert_close(module[0](x), torch.cat([waves, x[:, 1:]], 1))
    for image in (reflected(x, 0), x + torch.tensor([3.0, 0])):
        torch.testing.assert_close(module(image), module(x))


def test_one_field_by_its_name() -> None:
    module, x = build(MLP(width=6, depth=1, odd=["v.x"], even=["u.y"], periodic=["y"])), places()
    free = build(MLP(width=6, depth=1, periodic=["y"]))
    found, by_x, by_y = (module(at).detach() for at in (x, reflected(x, 0), reflected(x, 1)))
    torch.testing.assert_close(by_x[:, 1], -found[:, 1])
    torch.testing.assert_close(by_y[:, 0], found[:, 0])
    assert (by_x + found)[:, 0].abs().max() > 1e-3
    assert (by_y - found)[:, 1].abs().max() > 1e-3
    halves = (free(x) + free(reflected(x, 1)))[:, 0] / 2
    torch.testing.assert_close(found[:, 0], halves.detach())


def test_hidden_layers_are_those_of_the_points_themselves() -> None:
    module, x = build(MLP(width=6, depth=2, odd=["x", "y"])), places()
    expected = hidden_layers(module.network, x)
    found = hidden_layers(module, x)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values)


def test_every_window_of_time_has_the_parity() -> None:
    module, x = build(MLP(width=6, depth=1, odd=["x"], windows=3, time="y")), places()
    torch.testing.assert_close(module(reflected(x, 0)), -module(x))
    assert all(name.startswith("windows.") for name, _ in module.named_parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"odd": ["z"]}, r"odd: there is no coordinate 'z'; the domain has x, y"),
        ({"even": ["u.z"]}, r"even: there is no coordinate 'z'; the domain has x, y"),
        ({"odd": ["w.x"]}, r"odd: there is no field 'w'; the network puts out u, v"),
        ({"even": ["y"], "windows": 2, "time": "y"}, "a window of y has no mirror image"),
        ({"odd": ["x"], "even": ["x"]}, "u cannot be both odd and even in x"),
        ({"odd": ["v.x"], "even": ["x"]}, "v cannot be both odd and even in x"),
        ({"odd": ["x"], "even": ["x"], "periodic": ["x"]}, "u cannot be both odd and even in x"),
    ],
)  # fmt: skip
def test_what_is_not_there_or_contradicts_itself_is_an_error(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(PinnError, match=message):
        build(MLP(**options))
