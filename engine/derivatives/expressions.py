"""Derivatives of expressions: q.d(torch.exp(q.T) * q.T_x, "x").

A law that asks for one is called with Taylor series in place of numbers. The coefficient β of a
quantity is another quantity, (T_x)_β = D^β T_x / β!, which the network gives as it gives T_x itself;
and the derivative D^γ of a series is a shift of its coefficients, (D^γ e)_β = e_{β+γ} (β+γ)! / β!. How
far each quantity must be expanded is found once, by calling the law on arbitrary numbers and asking
autograd which of them its residuals are made of. So the divergence of the flux k(u) u_x asks for u, u_x
and u_xx, as it does written out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any

import torch
from attrs import define, field, frozen
from torch import Tensor

from pinn.core.errors import PinnError
from pinn.engine.derivatives.jets import Functional, Jets, MultiIndex, factorial, jets
from pinn.engine.derivatives.quantities import Differentiate, Forms, Resolve, shifted
from pinn.engine.derivatives.series import Series, coordinate, scale

Key = tuple[tuple[str, tuple[tuple[MultiIndex, float], ...]], ...]
"""A linear combination of derivatives, as a key."""
Ask = Callable[[Mapping[str, Any], Resolve, Differentiate], Iterable[Tensor]]
"""Calls a law with such coordinates, fields and derivatives of expressions; returns its residuals."""

DEEPEST = 12
"""The highest derivative of an expression."""
PROBE_POINTS = 3


def key_of(forms: Forms) -> Key:
    kept = {f: tuple(sorted((i, a) for i, a in form.items() if a)) for f, form in forms.items()}
    return tuple(sorted((name, form) for name, form in kept.items() if form))


@frozen
class Expansion:
    """How far the quantities of a law are expanded.

    Attributes:
        jets: of the series that the law computes with.
        wanted: the coefficients β that each quantity needs.
    """

    jets: Jets
    wanted: Mapping[Key, tuple[MultiIndex, ...]]

    def resolve(self, numbers: Resolve) -> Resolve:
        """What gives the quantities as series, from what gives them as numbers.

        Raises:
            KeyError: a quantity that the law did not ask for at first.
        """

        def resolved(forms: Forms) -> Series:
            channels = {index: i for i, index in enumerate(self.jets.monomials)}
            found = {
                channels[beta]: scale(numbers(_moved(forms, beta)), 1 / factorial(beta))
                for beta in self.wanted[key_of(forms)]
            }
            return Series(found, self.jets)

        return resolved

    def requests(self) -> Iterable[Functional]:
        """The derivatives of fields that it is made of."""
        for key, betas in self.wanted.items():
            for beta in betas:
                for _, form in key:
                    yield shifted(dict(form), beta)


def expanded(places: Mapping[str, Tensor], jets: Jets) -> dict[str, Any]:
    """The coordinates, {name: (n,)}, as series."""
    return {name: coordinate(x, axis, jets) for axis, (name, x) in enumerate(places.items())}


def _moved(forms: Forms, beta: MultiIndex) -> Forms:
    return {name: shifted(form, beta) for name, form in forms.items()}


def derivative_of_series(e: Any, gamma: MultiIndex) -> Any:
    """D^γ of a series; what is no series is the same everywhere."""
    if not isinstance(e, Series):
        return torch.zeros_like(e)
    channels = {index: i for i, index in enumerate(e.jets.monomials)}
    found = {}
    for beta, i in channels.items():
        above = _sum(beta, gamma)
        if (source := e.coefficients.get(channels.get(above, -1))) is not None:
            found[i] = scale(source, factorial(above) / factorial(beta))
    found[0] = found.get(0, torch.zeros_like(e.value)).expand(e.shape)
    return Series(found, e.jets)


def _sum(a: MultiIndex, b: MultiIndex) -> MultiIndex:
    return tuple(i + j for i, j in zip(a, b, strict=True))


def expansion(ask: Ask, places: Mapping[str, Tensor], taken: Iterable[MultiIndex]) -> Expansion:
    """How far the quantities of a law must be expanded.

    Args:
        places: coordinates, {name: (n,)}, in double precision.
        taken: the derivatives of expressions that the law takes.

    Raises:
        PinnError: derivatives of derivatives of expressions, to a higher order than 12.
    """
    taken = list(taken)
    axes = [any(index[axis] for index in taken) for axis in range(len(places))]
    most = min(sum(map(sum, taken)), DEEPEST)
    for order in range(max(map(sum, taken)), most + 1):
        every = [i for i in product(*(range(order * a + 1) for a in axes)) if sum(i) <= order]
        trial = _Trial(jets([{index: 1.0} for index in every]))
        with torch.enable_grad():
            coordinates = expanded(places, trial.jets)
            residuals = [*ask(coordinates, trial.resolve, trial.differentiate)]
        least = trial.needed(residuals)
        if least is None:
            continue
        coordinates, resolve = expanded(places, least.jets), least.resolve(trial.numbers)
        if all(map(_agree, residuals, ask(coordinates, resolve, derivative_of_series))):
            return least
        if order == most:  # something is hidden from autograd, by detach, say
            return Expansion(trial.jets, dict.fromkeys(trial.keys(), trial.jets.monomials))
    raise PinnError(f"q.d of expressions goes to a higher order than {DEEPEST}")


def _agree(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one.double(), other.double(), rtol=1e-6, equal_nan=True)


@define(eq=False)
class _Trial:
    """A law called with series of arbitrary numbers, each of which is a leaf of autograd's graph."""

    jets: Jets
    _leaves: dict[tuple[Key, MultiIndex], Tensor] = field(factory=dict, init=False)
    _marks: dict[MultiIndex, Tensor] = field(factory=dict, init=False)
    _numbers: dict[Key, Tensor] = field(factory=dict, init=False)
    _beyond: Tensor = field(factory=lambda: _leaf(torch.tensor(0.7)), init=False)
    _generator: torch.Generator = field(
        factory=lambda: torch.Generator().manual_seed(1), init=False
    )

    def numbers(self, forms: Forms) -> Tensor:
        """The same at every call with the same forms."""
        key = key_of(forms)
        if key not in self._numbers:
            drawn = torch.rand(PROBE_POINTS, generator=self._generator, dtype=torch.float64)
            self._numbers[key] = drawn + 0.5
        return self._numbers[key]

    def keys(self) -> list[Key]:
        return [*dict.fromkeys(key for key, _ in self._leaves)]

    def resolve(self, forms: Forms) -> Series:
        key = key_of(forms)
        for beta in self.jets.monomials:
            if (key, beta) not in self._leaves:
                number = self.numbers(_moved(forms, beta)) / factorial(beta)
                self._leaves[key, beta] = _leaf(number)
        found = {i: self._leaves[key, beta] for i, beta in enumerate(self.jets.monomials)}
        return Series(found, self.jets)

    def differentiate(self, e: Any, gamma: MultiIndex) -> Any:
        """Marks the coefficients that are read, and fills in what lies beyond the series."""
        found = derivative_of_series(e, gamma)
        if not isinstance(e, Series):
            return found
        coefficients = {}
        for i, beta in enumerate(self.jets.monomials):
            above = _sum(beta, gamma)
            if above in self.jets.monomials:
                mark = self._marks.setdefault(above, _leaf(torch.tensor(1.0)))
                coefficients[i] = mark * found.coefficients.get(i, torch.zeros_like(e.value))
            else:
                coefficients[i] = self._beyond.expand(e.shape)
        return Series(coefficients, self.jets)

    def needed(self, residuals: Iterable[Tensor]) -> Expansion | None:
        """What the residuals are made of; None where that lies beyond the series."""
        leaves: dict[Any, Tensor] = {**self._leaves, **self._marks}
        total = torch.stack([residual.double().sum() for residual in residuals]).sum()
        reached: list[Any] = []
        if total.requires_grad:
            wanted_of = [self._beyond, *leaves.values()]
            beyond, *slopes = torch.autograd.grad(total, wanted_of, allow_unused=True)
            if beyond is not None:
                return None
            reached = [at for at, slope in zip(leaves, slopes, strict=True) if slope is not None]
        wanted: dict[Key, set[MultiIndex]] = {key: {self.jets.monomials[0]} for key in self.keys()}
        for key, beta in (at for at in reached if at in self._leaves):
            wanted[key].add(beta)
        carried = {self.jets.monomials[0], *(at for at in reached if at in self._marks)}
        carried.update(*wanted.values())
        return Expansion(
            jets([{index: 1.0} for index in carried]),
            {key: tuple(sorted(betas)) for key, betas in wanted.items()},
        )


def _leaf(value: Tensor) -> Tensor:
    return value.detach().double().requires_grad_()
