"""Residuals of a problem for a network that knows nothing of it."""

from __future__ import annotations

import torch
from attrs import evolve
from torch import Tensor

from pinn.engine.derivatives.mixing import check_points_stay_apart
from pinn.testing.probes.nested import nested_residuals
from pinn.testing.problems.laws import PlacedLaw, laws, place, random_network
from pinn.testing.trial import Trial

AGREED = 1e-9
"""Taylor series against nested autograd, beside the largest number."""
VANISHING = 1e-12
"""What rounding leaves of a condition that holds by construction."""


def its_residuals_are_finite_numbers_of_the_networks_precision(trial: Trial) -> None:
    problem = trial.part
    module = random_network(problem)
    for law in laws(problem):
        for name, found in zip(law.residuals.names, law(module), strict=True):
            bad = ~torch.isfinite(found)
            assert not bad.any(), (
                f"{law.called}: {name!r} is {float(found[bad][0])} for a smooth network at "
                f"{place(problem, law.points[bad][0])}: keep clear of 0/0, roots and logarithms "
                "of 0 on the domain, its faces included"
            )
        single = evolve(law, points=law.points.float())
        found = single(random_network(problem).float())
        assert found.dtype == torch.float32, (
            f"{law.called} are {found.dtype} where the network is float32: a tensor in another "
            "precision is mixed in; write Python floats, or q.x.new_tensor(…)"
        )


def its_equations_depend_on_the_network(trial: Trial) -> None:
    problem = trial.part
    one, other = (random_network(problem, seed) for seed in (0, 1))
    for law in laws(problem):
        for name, first, second in zip(law.residuals.names, law(one), law(other), strict=True):
            if torch.equal(first, second) and not _vanishes(law, first):
                raise AssertionError(
                    f"{law.called}: {name!r} is the same for two networks, "
                    f"{float(first[0]):.3g} at {place(problem, law.points[0])}: it does not "
                    f"contain the fields {', '.join(problem.fields)} (or the ansatz fixes them "
                    f"there); read them from q, as in q.{next(iter(problem.fields))}"
                )


def _vanishes(law: PlacedLaw, found: Tensor) -> bool:
    """A condition that the ansatz satisfies, and that is there nevertheless."""
    return law.residuals.single is not None and bool(found.abs().max() < VANISHING)


def its_residuals_do_not_mix_points(trial: Trial) -> None:
    check_points_stay_apart(law.residuals for law in laws(trial.part))


def its_taylor_series_agree_with_nested_autograd(trial: Trial) -> None:
    problem = trial.part
    module = random_network(problem)
    for law in laws(problem):
        nested = nested_residuals(law.residuals, module, law.points)
        for name, series, naive in zip(law.residuals.names, law(module), nested, strict=True):
            off = (series - naive).abs()
            worst = int(off.argmax())
            assert float(off[worst]) <= AGREED * float(naive.abs().max()), (
                f"{law.called}: {name!r} is {float(series[worst]):.6g} by Taylor series and "
                f"{float(naive[worst]):.6g} by nested autograd at "
                f"{place(problem, law.points[worst])}. Something in ansatz(q) cuts or hides a "
                "derivative: .detach(), torch.no_grad, .item(), NumPy; use torch on q.x and the "
                "fields throughout"
            )
