"""Fields that are complex, of unlike size, or functions of some of the coordinates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from attrs import frozen
from scipy.integrate import solve_ivp
from torch import Tensor

from pinn.core import Box, Condition, Measurements, PinnError, Problem, Reference
from pinn.core.view import hidden_layers
from pinn.engine import Run, prepare, train
from pinn.engine.derivatives.fields import build_network, components
from pinn.engine.derivatives.probing import residuals
from pinn.plugins.networks.mlp import MLP
from pinn.testing import check_problem
from pinn.testing.probes.nested import nested_residuals
from pinn.testing.problems.laws import random_network

MakeConfig = Callable[..., Any]
Offer = Callable[..., None]
Close = Callable[..., None]
BRIEFLY = [{"name": "adam", "steps": 100, "lr": 5e-3}, {"name": "gauss-newton", "steps": 40}]


def points(dimension: int = 2, count: int = 9) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, dimension, dtype=torch.float64, generator=generator)


def last(run: Run) -> dict[str, float]:
    return {name: values[-1] for name, (_, values) in run.metrics().items()}


# --- complex fields


@frozen
class Soliton(Problem):
    """i ψ_t + ½ ψ_xx + |ψ|² ψ = 0 with ψ = sech(x) exp(i t / 2)."""

    name = "soliton"
    fields = ("psi",)
    complex_fields = ("psi",)
    domain = Box(x=(-4, 4), t=(0, 1))

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"nls": 1j * q.psi_t + 0.5 * q.psi_xx + torch.abs(q.psi) ** 2 * q.psi}

    def conditions(self) -> Iterator[Condition]:
        yield Condition("initial", "t=0", lambda q: q.psi - 1 / torch.cosh(q.x))

    def solution(self, q: Any) -> Mapping[str, Any]:
        return {"psi": torch.exp(0.5j * q.t) / torch.cosh(q.x)}


@frozen
class HardSoliton(Soliton):
    """The initial condition by an ansatz, the second derivative as that of an expression."""

    name = "hard-soliton"

    def ansatz(self, q: Any) -> Mapping[str, Any]:
        return {"psi": q.t * q.psi + 1 / torch.cosh(q.x)}

    def equations(self, q: Any) -> Mapping[str, Any]:
        flux = q.psi_x * torch.abs(q.psi) ** 0
        return {"nls": 1j * q.psi_t + 0.5 * q.d(flux, "x") + q.psi.abs() ** 2 * q.psi}

    def conditions(self) -> Iterator[Condition]:
        return iter(())


@pytest.mark.parametrize("cls", [Soliton, HardSoliton])
def test_a_complex_equation_keeps_what_every_problem_must(cls: type[Problem]) -> None:
    check_problem(cls)


def test_a_complex_statement_is_two_residuals_that_carry_what_two_real_ones_would() -> None:
    def real(q: Any) -> Mapping[str, Any]:
        u, v = q.psi_re, q.psi_im
        size = u**2 + v**2
        return {
            "re": -1.0 * q.psi_im_t + 0.5 * q.psi_re_xx + size * u,
            "im": q.psi_re_t + 0.5 * q.psi_im_xx + size * v,
        }

    problem, network, at = Soliton(), random_network(Soliton()), points()
    one = residuals(problem, problem.equations, "the equations", dtype=torch.float64)
    two = residuals(problem, real, "the equations", dtype=torch.float64)
    assert one.names == ("nls_re", "nls_im")
    assert one.jets == two.jets
    torch.testing.assert_close(one(network, at), two(network, at), rtol=1e-12, atol=1e-13)


def test_its_errors_are_those_of_its_parts(
    make_config: MakeConfig, offer: Offer, without_results: None
) -> None:
    offer(Soliton)
    config = make_config({"name": "soliton"}, optimizers=BRIEFLY, analyzers=[{"name": "error"}])
    final = last(train(config))
    assert {"loss.nls_re", "loss.nls_im", "loss.initial"} <= {*final}
    assert final["rel_l2.psi_re"] < 0.1
    assert final["rel_l2.psi_im"] < 0.5


def test_complex_numbers_for_a_real_field_are_refused() -> None:
    @frozen
    class Wrong(Soliton):
        complex_fields = ()

        def equations(self, q: Any) -> Mapping[str, Any]:
            return {"one": q.psi_t}

        def ansatz(self, q: Any) -> Mapping[str, Any]:
            return {"psi": q.psi * 1j}

    law = residuals(Wrong(), Wrong().equations, "the equations", dtype=torch.float64)
    with pytest.raises(PinnError, match=r"complex numbers for 'psi'.*complex_fields = \('psi',\)"):
        law(random_network(Wrong()), points())


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("complex_fields", "psi", r"write \('psi',\)"),
        ("complex_fields", ("phi",), "complex_fields has 'phi'.*did you mean 'psi'"),
        ("scales", {"phi": 2.0}, "scales has 'phi', which is no field"),
        ("scales", {"psi": (1.0, -1)}, r"scales has 'psi': \(1.0, -1\).*or \(middle, size\)"),
        ("scales", {"psi": 0}, "scales has 'psi': 0; expected a finite number above 0"),
        ("residual_scales", {"nls": None}, "residual_scales has 'nls': None"),
    ],
)
def test_declarations_that_fit_no_field_are_refused(
    attribute: str, value: Any, message: str
) -> None:
    cls = type("Wrong", (Soliton,), {attribute: value})
    with pytest.raises(PinnError, match=message):
        residuals(cls(), cls().equations, "the equations")


# --- fields of unlike size


class Balance(Problem):
    """y' = f(y) from a start; a numerical reference."""

    start: ClassVar[Mapping[str, float]]
    fields: tuple[str, ...]

    def rates(self, y: Mapping[str, Any], exp: Callable[[Any], Any]) -> Mapping[str, Any]:
        raise NotImplementedError

    def equations(self, q: Any) -> Mapping[str, Any]:
        rates = self.rates({name: getattr(q, name) for name in self.fields}, torch.exp)
        return {f"{name}-balance": q.d(name, "t") - rates[name] for name in self.fields}

    def conditions(self) -> Iterator[Condition]:
        yield Condition(
            "start", "t=0", lambda q: {n: getattr(q, n) - y for n, y in self.start.items()}
        )

    def reference(self) -> Reference:
        t = np.linspace(*self.domain.intervals["t"], 201)

        def slope(_: float, y: Any) -> list[Any]:
            return [*self.rates(dict(zip(self.fields, y, strict=True)), np.exp).values()]

        begin = [*self.start.values()]
        found = solve_ivp(slope, (t[0], t[-1]), begin, t_eval=t, rtol=1e-9, atol=1e-9)
        return Reference({"t": t}, dict(zip(self.fields, found.y, strict=True)))


@frozen
class LotkaVolterra(Balance):
    """Prey r and predators p, in numbers."""

    name = "lotka-volterra"
    fields = ("r", "p")
    domain = Box(t=(0, 3))
    start: ClassVar[Mapping[str, float]] = {"r": 100.0, "p": 15.0}
    scales: ClassVar[Mapping[str, float]] = {"r": 100.0, "p": 50.0}

    def rates(self, y: Mapping[str, Any], exp: Callable[[Any], Any]) -> Mapping[str, Any]:
        meetings = y["r"] * y["p"]
        return {"r": 2 * y["r"] - 0.04 * meetings, "p": 0.02 * meetings - 1.06 * y["p"]}


@frozen
class Reactor(Balance):
    """A stirred reactor: concentration C in mol/L, temperature T in K, time in minutes."""

    name = "reactor"
    fields = ("C", "T")
    domain = Box(t=(0, 5))
    start: ClassVar[Mapping[str, float]] = {"C": 0.9, "T": 310.0}
    scales: ClassVar[Mapping[str, Any]] = {"C": 0.9, "T": (320.0, 10.0)}
    residual_scales: ClassVar[Mapping[str, float]] = {"C-balance": 0.1, "T-balance": 30.0}

    def rates(self, y: Mapping[str, Any], exp: Callable[[Any], Any]) -> Mapping[str, Any]:
        reaction = 7.2e10 * exp(-8750 / y["T"]) * y["C"]
        cooling = 5e4 / (100 * 239) * (300 - y["T"])
        return {"C": 1 - y["C"] - reaction, "T": 350 - y["T"] + 5e4 / 239 * reaction + cooling}


@frozen
class MeasuredLotkaVolterra(LotkaVolterra):
    """In the sizes of what its conditions say."""

    name = "measured-lotka-volterra"
    scales: ClassVar[str] = "measured"


@frozen
class MeasuredReactor(Reactor):
    """Likewise."""

    name = "measured-reactor"
    scales: ClassVar[str] = "measured"


@pytest.mark.parametrize(
    ("cls", "allowed"),
    [
        (LotkaVolterra, 2e-2),
        (Reactor, 2e-2),
        (MeasuredLotkaVolterra, 2e-2),
        (MeasuredReactor, 2e-2),
    ],
)
def test_systems_of_unlike_units_train_as_they_stand_in_a_textbook(
    make_config: MakeConfig,
    offer: Offer,
    without_results: None,
    cls: type[Problem],
    allowed: float,
) -> None:
    offer(cls)
    config = make_config(
        {"name": cls.name},
        network={"width": 12, "depth": 2},
        points={"interior": 96, "conditions": 1},
        optimizers=BRIEFLY,
        analyzers=[{"name": "error"}],
    )
    final = last(train(config))
    for name in cls.fields:
        assert final[f"rel_l2.{name}"] < allowed


def test_a_scale_multiplies_the_network_before_the_ansatz_and_all_derivatives() -> None:
    @frozen
    class Scaled(Problem):
        name = "scaled"
        fields = ("u", "v")
        domain = Box(x=(0, 1), t=(0, 1))
        scales: ClassVar[Mapping[str, float]] = {"u": 300.0}

        def ansatz(self, q: Any) -> Mapping[str, Any]:
            return {"u": q.u + 7.0, "v": q.v}

        def equations(self, q: Any) -> Mapping[str, Any]:
            return {"u": q.u, "slope": q.u_xt, "v": q.v}

    network, at = random_network(Scaled()), points()
    law = residuals(Scaled(), Scaled().equations, "the equations", dtype=torch.float64)
    u, slope, v = law(network, at)
    bare = network(at)
    torch.testing.assert_close(u, 300 * bare[:, 0] + 7)
    torch.testing.assert_close(v, bare[:, 1])
    naive = nested_residuals(law, network, at)
    torch.testing.assert_close(slope.detach(), naive[1], rtol=1e-10, atol=1e-10)


def test_a_scale_may_have_a_middle() -> None:
    problem = Reactor()
    network, at = random_network(problem), 5 * points(1)
    law = residuals(problem, problem.observables, "observables", dtype=torch.float64)
    bare = network(at)
    torch.testing.assert_close(
        law(network, at), torch.stack([0.9 * bare[:, 0], 320 + 10 * bare[:, 1]])
    )


def test_a_residual_is_divided_by_its_size() -> None:
    whole = type("Whole", (Reactor,), {"residual_scales": {}})()
    at = 5 * points(1)
    network = random_network(whole)
    laws = [residuals(p, p.equations, "here", dtype=torch.float64) for p in (whole, Reactor())]
    plain, divided = (law(network, at).detach() for law in laws)
    torch.testing.assert_close(divided, plain / torch.tensor([[0.1], [30.0]]).double())
    start = next(iter(whole.conditions())).residual
    sized = type("Sized", (Reactor,), {"residual_scales": {"start": 4.0}})()
    laws = [residuals(p, start, "start", "start", torch.float64) for p in (whole, sized)]
    plain, divided = (law(network, at) for law in laws)
    torch.testing.assert_close(divided, plain / 4)


# --- functions of some of the coordinates


@frozen
class Layered(Problem):
    """u_t = c(x) u_x, where c = 1 + x² / 2 is found from data of u = sin(a(x) + t), a' = 1 / c."""

    name = "layered"
    fields: ClassVar[Mapping[str, tuple[str, ...]]] = {"u": ("x", "t"), "c": ("x",)}
    domain = Box(x=(0, 1), t=(0, 1))

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"advection": q.u_t - q.c * q.u_x}

    def conditions(self) -> Iterator[Measurements]:
        x, t = (a.ravel() for a in np.meshgrid(np.linspace(0, 1, 11), np.linspace(0, 1, 6)))
        a = np.sqrt(2) * np.arctan(x / np.sqrt(2))
        yield Measurements("data", {"x": x, "t": t}, {"u": np.sin(a + t)})

    def solution(self, q: Any) -> Mapping[str, Any]:
        a = 2**0.5 * torch.atan(q.x / 2**0.5)
        return {"u": torch.sin(a + q.t), "c": 1 + q.x**2 / 2}


def test_a_field_of_fewer_coordinates_keeps_what_every_problem_must() -> None:
    check_problem(Layered)


def test_its_other_derivatives_are_exactly_zero(close: Close) -> None:
    problem, at = Layered(), points()
    network = random_network(problem)
    law = residuals(
        problem,
        lambda q: {"c_t": q.c_t, "c_xt": q.c_xt, "c_x": q.c_x, "u_xt": q.u_xt, "cu": q.c * q.u_x},
        "the law",
        dtype=torch.float64,
    )
    found = law(network, at).detach()
    assert not found[:2].any()
    close(found, nested_residuals(law, network, at))
    moved = at.clone()
    moved[:, 1] = 0.123
    assert torch.equal(network(moved)[:, 1], network(at)[:, 1])
    assert not torch.equal(network(moved)[:, 0], network(at)[:, 0])


@pytest.mark.parametrize(
    ("optimizer", "steps", "allowed"), [("gauss-newton", 30, 0.03), ("lbfgs", 300, 0.06)]
)
def test_it_is_recovered_from_data(
    make_config: MakeConfig,
    offer: Offer,
    without_results: None,
    optimizer: str,
    steps: int,
    allowed: float,
) -> None:
    offer(Layered)
    config = make_config(
        {"name": "layered"},
        network={"width": 10, "depth": 2},
        points={"interior": 128},
        optimizers=[
            {"name": "adam", "steps": 200, "lr": 1e-2},
            {"name": optimizer, "steps": steps},
        ],
        analyzers=[{"name": "error"}, {"name": "compression"}],
    )
    final = last(train(config))
    assert final["rel_l2.c"] < allowed


def test_hidden_layers_are_those_of_both_networks(make_config: MakeConfig, offer: Offer) -> None:
    offer(Layered)
    module, *_ = prepare(make_config({"name": "layered"}, network={"width": 5, "depth": 2}))
    at = torch.rand(4, 2)
    found = hidden_layers(module, at)
    assert {name: tuple(values.shape) for name, values in found.items()} == {
        f"layer{i}": (4, 5) for i in range(1, 5)
    }
    one, other = module.side_by_side  # type: ignore[union-attr, misc]
    assert torch.equal(found["layer2"], hidden_layers(one, at)["layer2"])  # type: ignore[arg-type]
    assert torch.equal(
        found["layer3"],
        hidden_layers(other, at[:, :1])["layer1"],  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"u": ("x", "t"), "c": "x"}, r"the coordinates of field 'c' are 'x'; write a tuple"),
        ({"u": ("x", "t"), "c": ("z",)}, "there is no 'z'"),
        ({"u": ("x", "t"), "c": ()}, "a field of no coordinate is a number: name it in unknowns"),
    ],
)
def test_coordinates_that_are_not_there_are_refused(fields: Any, message: str) -> None:
    problem = type("Wrong", (Layered,), {"fields": fields})()
    generator = torch.Generator()
    with pytest.raises(PinnError, match=message):
        build_network(lambda i, o: MLP().build(i, o, generator), problem)


def test_fields_of_all_coordinates_share_one_network() -> None:
    problem = type("Same", (Layered,), {"fields": {"u": ("x", "t"), "c": ("t", "x")}})()
    built = []
    build_network(lambda i, o: built.append((i, o)) or torch.nn.Linear(2, 2), problem)
    assert built == [(problem.domain, ("u", "c"))]
    assert components(problem) == ("u", "c")
