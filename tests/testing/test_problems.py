"""`check_problem` finds what is wrong with a problem, and says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import pi
from typing import Any

import numpy as np
import pytest
import torch
from attrs import field, frozen

from pinn.core import Box, Condition, Measurements, Problem, Reference, Unknown, option
from pinn.testing import Advice, check_problem


@frozen
class Heat(Problem):
    """u_t = κ u_xx on [0, 1] x [0, 1] with u(x, 0) = sin πx and u = 0 at both ends."""

    name = "heat"
    fields = ("u",)
    domain = Box(x=(0, 1), t=(0, 1))

    kappa: float = option(0.1, "diffusivity κ")

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"heat": q.u_t - self.kappa * q.u_xx}

    def conditions(self) -> Iterator[Condition | Measurements]:
        yield Condition("initial", on="t=0", residual=lambda q: q.u - torch.sin(pi * q.x))
        yield Condition("walls", on=("x=0", "x=1"), residual=lambda q: q.u)

    def solution(self, q: Any) -> Mapping[str, Any] | None:
        return {"u": torch.exp(-self.kappa * pi**2 * q.t) * torch.sin(pi * q.x)}


def fails(problem: Any, *messages: str) -> None:
    """In this order."""
    with pytest.raises(AssertionError, match="(?s)" + ".*".join(messages)):
        check_problem(problem)


# what is right


def test_the_heat_equation_passes_as_a_class_and_as_an_instance() -> None:
    check_problem(Heat)
    check_problem(Heat(kappa=0.3))


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_do_not_matter(scale: float) -> None:
    """A rod of so many metres, so hot, in as many seconds."""

    @frozen
    class Scaled(Heat):
        """In other units: x = L ξ, t = T τ, u = U v."""

        name = "scaled"
        domain = Box(x=(0, scale), t=(0, 1 / scale))

        def equations(self, q: Any) -> Mapping[str, Any]:
            return {"heat": q.u_t - self.kappa * scale**3 * q.u_xx}

        def conditions(self) -> Iterator[Condition]:
            yield Condition("initial", "t=0", lambda q: q.u - scale * torch.sin(pi * q.x / scale))
            yield Condition("walls", ("x=0", f"x={scale!r}"), lambda q: q.u)

        def solution(self, q: Any) -> Mapping[str, Any]:
            u = torch.exp(-self.kappa * pi**2 * scale * q.t) * torch.sin(pi * q.x / scale)
            return {"u": scale * u}

    check_problem(Scaled)

    @frozen
    class Wrong(Scaled):
        """With a coefficient that is off by a ten millionth."""

        def equations(self, q: Any) -> Mapping[str, Any]:
            return {"heat": q.u_t - (1 + 1e-7) * self.kappa * scale**3 * q.u_xx}

    fails(Wrong, "the exact solution does not satisfy equation 'heat'")


@frozen
class Inverse(Heat):
    """κ is unknown, u is measured with noise."""

    name = "inverse-heat"
    told: bool = option(True, "whether the true κ is known")

    def unknowns(self) -> Mapping[str, Unknown]:
        true = self.kappa if self.told else None
        return {"k": Unknown(start=1.0, positive=True, true=true)}

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"heat": q.u_t - q.k * q.u_xx}

    def conditions(self) -> Iterator[Condition | Measurements]:
        x, t = np.random.default_rng(0).uniform(size=(2, 30))
        noise = 0.1 * np.random.default_rng(1).normal(size=30)
        u = np.exp(-0.1 * pi**2 * t) * np.sin(pi * x)
        yield Measurements("data", at={"x": x, "t": t}, values={"u": u + noise})


def test_an_inverse_problem_is_checked_with_the_true_values(recwarn: Any) -> None:
    check_problem(Inverse)
    assert not [warning for warning in recwarn if warning.category is Advice]
    fails(
        evolved(Inverse, unknowns=lambda self: {"k": Unknown(1.0, True, true=0.2)})(),
        "does not satisfy equation 'heat'",
        "the unknowns have their `true` values",
    )


def test_without_true_values_the_exact_solution_is_not_checked_and_it_says_so() -> None:
    with pytest.warns(Advice, match="the true value of the unknown 'k' is not known"):
        check_problem(Inverse(told=False))


@frozen
class Hard(Heat):
    """The conditions hold for any network."""

    name = "hard-heat"
    hard: bool = option(False, "satisfy the conditions exactly")

    def conditions(self) -> Iterator[Condition | Measurements]:
        if not self.hard:
            yield from Heat.conditions(self)

    def ansatz(self, q: Any) -> Mapping[str, Any]:
        if not self.hard:
            return {"u": q.u}
        return {"u": torch.sin(pi * q.x) + q.t * q.x * (1 - q.x) * q.u}


def test_a_hard_ansatz_that_is_right_passes() -> None:
    check_problem(Hard)


def evolved(base: type[Any], **methods: Callable[..., Any]) -> type[Any]:
    """The problem with some methods replaced."""
    return frozen(type(base.__name__, (base,), {"__doc__": base.__doc__, **methods}))


# what is wrong


def test_a_sign_error_names_the_equation_the_residual_and_the_place() -> None:
    wrong = evolved(Heat, equations=lambda self, q: {"heat": q.u_t + self.kappa * q.u_xx})
    fails(
        wrong,
        r"^problem 'heat': the exact solution does not satisfy equation 'heat': the residual is 1\.8",
        r"at x = 0\.\d+, t = 0\.\d+, beside terms of size",
        "Either equations.q. or solution.q. is wrong: check the signs",
    )


def test_a_constant_in_single_precision_is_recognised() -> None:
    kappa = torch.tensor(0.1)
    wrong = evolved(Heat, equations=lambda self, q: {"heat": q.u_t - kappa * q.u_xx})
    fails(wrong, "does not satisfy equation 'heat'", "a constant in single precision")


def test_a_condition_that_the_solution_violates() -> None:
    def conditions(self: Any) -> Iterator[Condition]:
        yield Condition("initial", on="t=0", residual=lambda q: q.u - torch.cos(pi * q.x))

    fails(
        evolved(Heat, conditions=conditions),
        "does not satisfy condition 'initial'",
        "at x = .*, t = 0, beside",
        "Either the residual of condition 'initial' or solution",
    )


def test_a_solution_that_is_not_defined_everywhere() -> None:
    def solution(self: Any, q: Any) -> Mapping[str, Any]:
        return {"u": torch.log(q.t - 0.5)}

    fails(
        evolved(Heat, solution=solution),
        "is nan for 'u' at x = .*: keep clear of roots and logarithms",
    )


@pytest.mark.parametrize(
    ("solution", "message"),
    [
        (lambda self, q: {"v": q.x}, "the solution of heat lacks the fields u"),
        (
            lambda self, q: {"u": [1.0]},
            "the solution of heat returns 'u' as list; expected a number at",
        ),
        (lambda self, q: {"u": q.x[:3]}, r"returns 'u' of shape \(3,\); expected .*, \(400,\)"),
    ],
)
def test_a_solution_of_the_wrong_form(solution: Any, message: str) -> None:
    fails(evolved(Heat, solution=solution), message)


def test_an_equation_without_the_network() -> None:
    wrong = evolved(
        Heat,
        equations=lambda self, q: {"heat": q.u_t - self.kappa * q.u_xx, "source": 1 + q.x},
    )
    fails(wrong, "the equations: 'source' is the same for two networks", "as in q.u")


def test_a_derivative_that_the_ansatz_hides() -> None:
    def ansatz(self: Any, q: Any) -> Mapping[str, Any]:
        return {"u": q.u * torch.exp(q.x).detach()}

    fails(
        evolved(Heat, ansatz=ansatz),
        "'heat' is .* by Taylor series and .* by nested autograd at x = ",
        r"\.detach\(\)",
    )


def test_an_ansatz_that_leaves_nothing_to_train() -> None:
    wrong = evolved(
        Heat,
        ansatz=lambda self, q: {"u": torch.sin(pi * q.x) + 0 * q.u},
        conditions=lambda self: (),
    )
    fails(wrong, "'heat' is the same for two networks", "or the ansatz fixes them")


def test_a_hard_ansatz_that_misses_a_condition() -> None:
    def ansatz(self: Any, q: Any) -> Mapping[str, Any]:
        return {"u": torch.sin(pi * q.x) + q.t * q.x * q.u if self.hard else q.u}

    fails(
        evolved(Hard, ansatz=ansatz),
        "with hard = true condition 'walls' is no longer in conditions",
        "off by .* at x = 1, t = 0",
        "Mend ansatz",
    )


def test_a_hard_option_without_effect() -> None:
    fails(
        evolved(Hard, conditions=Heat.conditions),
        "hard = true leaves all conditions in place: leave out of conditions",
    )


def test_residuals_of_another_precision() -> None:
    scale = torch.ones(1, dtype=torch.float64)
    wrong = evolved(Heat, equations=lambda self, q: {"heat": scale * (q.u_t - self.kappa * q.u_xx)})
    fails(wrong, "the equations are torch.float64 where the network is float32", "Python floats")


def test_residuals_that_are_not_finite() -> None:
    wrong = evolved(Heat, equations=lambda self, q: {"heat": q.u_t + torch.sqrt(q.x - 0.5)})
    fails(wrong, "'heat' is nan for a smooth network at x = 0", "keep clear of 0/0")


def test_tensors_on_a_fixed_device() -> None:
    sources = torch.linspace(0, 1, 200)

    def equations(self: Any, q: Any) -> Mapping[str, Any]:
        ones = torch.ones(len(q.x), dtype=q.x.dtype)
        return {"heat": ones * q.u_t - self.kappa * q.u_xx}

    assert len(sources) == 200
    fails(
        evolved(Heat, equations=equations),
        "the equations: a tensor is made on the CPU",
        "it would fail on a GPU",
        r"torch.zeros_like\(q.x\)",
    )


def test_code_that_looks_at_numbers_cannot_be_compiled() -> None:
    def equations(self: Any, q: Any) -> Mapping[str, Any]:
        residual = (q.u_t - self.kappa * q.u_xx).tensor()
        return {"heat": residual if residual.detach().abs().max() > 1e-3 else 2 * residual}

    fails(
        evolved(Heat, equations=equations),
        "the training step cannot be traced",
        "a run of 1,000 steps and more is compiled.*torch.where",
    )


def test_factors_that_depend_on_the_network() -> None:
    def equations(self: Any, q: Any) -> Mapping[str, Any]:
        largest = float(q.u.tensor().detach().abs().max())
        return {"heat": (q.u_t - self.kappa * q.u_xx) / largest}

    fails(
        evolved(Heat, equations=equations, solution=lambda self, q: None),
        r"another combination of derivatives than at first: \S+ u_t \+ \S+ u_xx; a factor must be",
    )


def test_noise_that_is_drawn_anew_in_every_process() -> None:
    def conditions(self: Any) -> Iterator[Measurements]:
        noise = np.random.default_rng().normal(size=3)
        yield Measurements("data", at={"x": [0.1, 0.2, 0.3], "t": [0, 0, 0]}, values={"u": noise})

    fails(
        evolved(Heat, conditions=conditions),
        r"a run that is killed behind steps 1 and 3 and continued differs .* first at",
        "draws random numbers; make every method depend on the options and q alone",
    )


def test_a_reference_that_does_not_fit() -> None:
    def reference(shape: tuple[int, int], name: str = "u", last: float = 1.0) -> Any:
        x, t = np.linspace(0, last, 5), np.linspace(0, 1, 4)
        return evolved(
            Heat,
            reference=lambda self: Reference({"x": x, "t": t}, {name: np.ones(shape)}),
        )

    fails(reference((4, 5)), r"has u of shape \(4, 5\).* make \(5, 4\)", 'indexing="ij"')
    fails(reference((5, 4), "w"), "has w; expected one of u")
    fails(reference((5, 4), last=2.0), "has x from 0 to 2, outside of 0 to 1")
    fails(evolved(Heat, reference=lambda self: {"x": 1}), "is a dict; return a pinn.core.Reference")
    several = evolved(
        Heat,
        observables=lambda self, q: {"u": q.u, "w": 2 * q.u},
        reference=lambda self: Reference(
            {"x": [0.0, 1.0], "t": [0.0, 1.0]}, {"w": np.ones((2, 2))}
        ),
    )
    fails(several, "the first observable, 'u', .* is not in the reference.*w")


def test_faces_and_names_that_are_not_usable() -> None:
    def on(face: str) -> type[Any]:
        return evolved(
            Heat, conditions=lambda self: [Condition("end", on=face, residual=lambda q: q.u)]
        )

    fails(on("t=2"), "condition 'end': 't=2' is not a face of the domain; its faces are")
    fails(
        evolved(
            Heat,
            conditions=lambda self: [Condition("heat", on="t=0", residual=lambda q: q.u)],
        ),
        "two equations or conditions are called 'heat'",
    )

    @frozen
    class Slope(Heat):
        """A field that looks like a derivative."""

        fields = ("u", "u_x")

    fails(Slope, "'u_x' reads as a derivative of 'u': call it something else")


# options and the class itself


QUIET = pytest.mark.filterwarnings("ignore::pinn.testing.Advice")


@QUIET
def test_options_that_no_file_can_hold() -> None:
    @frozen
    class Array(Heat):
        """With a profile."""

        profile: Any = field(factory=lambda: np.ones(3))

    fails(
        Array, "the option 'profile' = array.* cannot be written to a TOML file", "use int, float"
    )

    @frozen
    class Anything(Heat):
        """With an option of any type."""

        setting: Any = 1

    fails(Anything, "the option 'setting' accepts anything, as its type Any says: use int")


@QUIET
def test_an_option_that_is_read_back_as_something_else() -> None:
    @frozen
    class Rounded(Heat):
        """κ is doubled whenever it is given."""

        kappa: float = field(default=0.1, converter=lambda value: 2 * value)

    fails(Rounded, "the option 'kappa' is 0.2, but 0.4 when it is read back")


def test_a_class_that_is_not_frozen_or_not_documented() -> None:
    from attrs import define

    @define
    class Changing(Problem):
        """May change."""

        name = "changing"
        fields = ("u",)
        domain = Box(x=(0, 1))

        def equations(self, q: Any) -> Mapping[str, Any]:
            return {"growth": q.u_x - q.u}

    fails(Changing, "Changing can be changed: put @attrs.frozen above it instead of @attrs.define")

    class Bare(Heat):
        """Without attrs."""

    fails(Bare, "Bare is not an attrs class: put @attrs.frozen above it")

    @frozen
    class Silent(Heat):
        pass

    fails(Silent, "Silent has no docstring")


def test_options_without_defaults_and_with_wrong_ones() -> None:
    @frozen
    class Needy(Problem):
        """Without a default."""

        name = "needy"
        fields = ("u",)
        domain = Box(x=(0, 1))
        kappa: float = option(help="diffusivity")

        def equations(self, q: Any) -> Mapping[str, Any]:
            return {"heat": q.u_x - self.kappa * q.u}

    fails(Needy, "the options kappa have no default", r"check_problem\(Needy\(kappa=…\)\)")
    check_problem(Needy(kappa=0.5))


def test_what_is_no_problem() -> None:
    from pinn.core import Sampler

    @frozen
    class Grid(Sampler):
        """A sampler."""

        name = "grid"

        def draw(self, domain: Any, count: Any, generator: Any) -> Any: ...

    fails(Grid, "Grid is a part of kind sampler: call check_sampler")
    fails(int, "int is no problem: make it a subclass of pinn.core.Problem")


def test_advice_does_not_fail() -> None:
    @frozen
    class Undescribed(Heat):
        """With an option that says nothing."""

        name = "undescribed"
        level: float = 1.0

    with pytest.warns(Advice, match="the option 'level' has no description for `pinn describe`"):
        check_problem(Undescribed)
