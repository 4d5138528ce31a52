"""The reference of a problem, exact or numerical, on its grid."""

from __future__ import annotations

import numpy as np
import torch

from pinn.core.errors import one_of
from pinn.engine.training.evaluation import Evaluator, reference_solution
from pinn.testing.problems.laws import random_network
from pinn.testing.trial import Trial


def its_reference_fits_its_domain_and_observables(trial: Trial) -> None:
    problem = trial.part
    reference = reference_solution(problem)
    if reference is None:
        return
    assert tuple(reference.coordinates) == problem.domain.names, (
        f"the reference has the coordinates {', '.join(reference.coordinates)}, the domain "
        f"{', '.join(problem.domain.names)}: they must be the same, in the same order"
    )
    for name, along in reference.coordinates.items():
        low, high = problem.domain.intervals[name]
        assert np.ndim(along) == 1 and len(along) > 1 and (np.diff(along) > 0).all(), (
            f"the reference's {name} is no array of increasing numbers: give the 1-D grid "
            "coordinate"
        )
        assert low <= along[0] and along[-1] <= high, (
            f"the reference's {name} runs from {along[0]:g} to {along[-1]:g}, beyond the domain's "
            f"[{low:g}, {high:g}]: leave out what lies outside"
        )
    shape = tuple(len(along) for along in reference.coordinates.values())
    for name, values in reference.fields.items():
        assert np.shape(values) == shape, (
            f"the reference's {name!r} has shape {np.shape(values)} on a grid of {shape}: write "
            'it on np.meshgrid(…, indexing="ij")'
        )
        bad = np.argwhere(~np.isfinite(np.asarray(values, float)))
        assert not len(bad), (
            f"the reference's {name!r} is not finite at grid point {tuple(bad[0].tolist())}: keep "
            "clear of 0/0"
        )
    evaluator = Evaluator(problem, torch.float64, torch.device("cpu"))
    on_grid = evaluator.on_grid(random_network(problem))
    headline = next(iter(on_grid))
    assert headline in reference.fields, (
        f"the first observable, {headline!r}, by which runs are compared, is not in the "
        f"reference, which has {one_of(reference.fields)}: put one of these first in "
        "observables(q), or add it to them"
    )
