"""Residuals, or losses, of single points, as functions that somebody else wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from attrs import field, frozen
from torch import Tensor, nn

from pinn.core.errors import PinnError, Unavailable

PROBE = 2
"""Points of a batch that the functions are tried on."""


@frozen(eq=False)
class PointLosses:
    """loss = Σ_k mean_i (λ_ki r_ki)² + conditions, of the module as it is.

    Attributes:
        function: points (n, dimension), which require gradients → residuals r (n,), (equations, n) or
            {name: (n,)}; or losses, which are not negative, in place of (λ r)².
        squared: whether they are losses. Their residuals are √loss.
        conditions: the rest of the loss, a scalar; None: there is none.
    """

    module: nn.Module
    function: Callable[[Tensor], Any]
    squared: bool = False
    conditions: Callable[[], Any] | None = None
    chunk: int = 0
    parameter_names: list[str] = field(init=False)

    @parameter_names.default
    def _trained(self) -> list[str]:
        return [name for name, p in self.module.named_parameters() if p.requires_grad]

    @property
    def what(self) -> str:
        return "losses" if self.squared else "residuals"

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        return tuple(self.module.get_parameter(name) for name in self.parameter_names)

    def named(self, points: Tensor) -> dict[str, Tensor]:
        """What the function gives at points (n, dimension), by the name of the equation: {name: (n,)}.

        Raises:
            PinnError: it is of another shape.
        """
        leaf = points.detach().requires_grad_()
        with torch.enable_grad():
            found = self.function(leaf)
        return by_equation(found, len(points), self.what)

    def interior_residuals(self, parameters: Sequence[Tensor], points: Tensor) -> Tensor:
        """The residuals, (equations, points); only at the parameters that the module has.

        Raises:
            Unavailable: at others.
        """
        own = self.parameters
        if any(given is not live for given, live in zip(parameters, own, strict=True)):
            raise Unavailable(
                "needs the residuals as a function of the parameters, for torch.func; a watched loop "
                "has them at the parameters of its model only"
            )
        found = torch.stack(list(self.named(points).values()))
        return found.sqrt() if self.squared else found

    def batch_gradients(
        self, parameters: Sequence[Tensor], points: Tensor, weights: Tensor
    ) -> tuple[Tensor, ...]:
        """One batch after the other: what calls torch.autograd.grad inside cannot be vectorised.

        Args:
            parameters: not looked at: those of the module count.
            points: (batches, n, dimension).
            weights: λ, (batches, equations, n).
        """
        batches = map(self._gradient, points, weights)
        return tuple(map(torch.stack, zip(*batches, strict=True)))

    def _gradient(self, points: Tensor, weights: Tensor) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            loss = torch.stack(list(self._equation_terms(points, weights).values())).sum()
        return torch.autograd.grad(loss, self.parameters, materialize_grads=True)

    def _equation_terms(self, points: Tensor, weights: Tensor) -> dict[str, Tensor]:
        found = self.named(points)
        with torch.enable_grad():
            return {
                name: (values if self.squared else (weight * values) ** 2).mean()
                for (name, values), weight in zip(found.items(), weights, strict=True)
            }

    def terms(
        self, points: Tensor, weights: Tensor, conditions: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The loss of each equation, by name, and {"conditions": all that `conditions` gives}."""
        rest = {} if self.conditions is None else {"conditions": self.condition_loss(())}
        return self._equation_terms(points, weights), rest

    def condition_loss(
        self, parameters: Sequence[Tensor], conditions: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """What `conditions` gives, a scalar; arguments as in `batch_gradients`, none looked at."""
        if self.conditions is None:
            return self.parameters[0].new_zeros(())
        with torch.enable_grad():
            found = self.conditions()
        if not isinstance(found, Tensor) or found.numel() != 1:
            shown = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise PinnError(f"conditions= returned {shown}; expected a tensor with one number")
        return found.reshape(())

    def check(self, points: Tensor) -> tuple[str, ...]:
        """Try the functions; returns the names of the equations.

        Raises:
            PinnError: what they return cannot be used.
        """
        whole = self._tried(points)
        self._check_numbers(whole, points)
        self._attached(sum(values.sum() for values in whole.values()), self.what)
        self._tried(points[:PROBE])
        if self.conditions is not None:
            self._attached(self.condition_loss(self.parameters), "conditions")
        return tuple(whole)

    def _tried(self, points: Tensor) -> dict[str, Tensor]:
        try:
            return self.named(points)
        except PinnError:
            raise
        except Exception as error:
            raise PinnError(
                f"{self.what}= fails on {len(points)} points: {type(error).__name__}: {error}; it is "
                "called with points (n, dimension), all of them or a batch"
            ) from error

    def _check_numbers(self, found: Mapping[str, Tensor], points: Tensor) -> None:
        for name, values in found.items():
            bad = ~torch.isfinite(values)
            if bad.any():
                first = int(bad.nonzero()[0])
                place = ", ".join(f"{c:.3g}" for c in points[first].tolist())
                raise PinnError(
                    f"{self.what}= gives what is not finite at {int(bad.sum())} of {len(points)} "
                    f"points ({name!r}), first at point {first} ({place})"
                )
            if self.squared and (values < 0).any():
                raise PinnError(
                    f"losses= gives negative numbers ({name!r}); expected losses of single points, at "
                    "least 0; pass residuals= if these are residuals"
                )

    def _attached(self, total: Any, what: str) -> None:
        gradients: Sequence[Tensor | None] = (None,)
        if total.requires_grad:
            gradients = torch.autograd.grad(total, self.parameters, allow_unused=True)
        if all(gradient is None for gradient in gradients):
            raise PinnError(
                f"{what}= does not depend on the parameters of the model: is it detached, under "
                "torch.no_grad, or of another model?"
            )


def by_equation(found: Any, count: int, what: str) -> dict[str, Tensor]:
    """{name: (n,)} of what a function returned for `count` points; columns (n, 1) are rows too.

    Raises:
        PinnError: it is not (n,), (equations, n) or {name: (n,)}.
    """
    table = isinstance(found, Tensor) and found.ndim == 2 and found.shape[1] == count
    if isinstance(found, Mapping):
        named = dict(found)
    elif table or isinstance(found, list | tuple):
        named = {f"equation{k}": row for k, row in enumerate(found, 1)}
    else:
        named = {"equation": found}
    for values in named.values():
        if not isinstance(values, Tensor) or tuple(values.shape) not in {(count,), (count, 1)}:
            shape = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else repr(values)
            raise PinnError(
                f"{what}= returned {shape} for {count} points; expected ({count},), (equations, "
                f"{count}) or {{name: ({count},)}}"
            )
    if not named:
        raise PinnError(f"{what}= returned nothing")
    return {name: values.reshape(count).as_subclass(Tensor) for name, values in named.items()}
