"""What an optimizer remembers comes back as it was."""

from __future__ import annotations

import copy

import pytest
import torch

from pinn.engine.training.state import load_optimizer
from pinn.testing.probes.differences import first_difference


def test_tensors_keep_their_precision_however_deep_they_stand() -> None:
    """`load_state_dict` makes all of them those of the parameter, as they must be in a run in double."""
    parameter = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    old, new = (torch.optim.SGD([parameter], lr=0.1) for _ in range(2))
    old.state[parameter] = {
        "single": torch.full((2,), 0.1),
        "double": torch.full((2,), 0.1, dtype=torch.float64),
        "of views": {0: {"moments": [torch.full((3,), 0.3), None], "made": (torch.tensor(3),)}},
    }
    saved = copy.deepcopy(old.state_dict())
    load_optimizer(new, copy.deepcopy(saved))
    assert first_difference(saved, new.state_dict()) is None
    assert new.state[parameter]["of views"][0]["moments"][0].dtype == torch.float32


def test_a_state_of_another_version_of_the_optimizer_is_refused() -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    saved = torch.optim.SGD([parameter], lr=0.1).state_dict()
    newer = torch.optim.SGD([parameter], lr=0.1)
    newer.param_groups[0]["lowest"] = 1.0
    with pytest.raises(ValueError, match="its optimizer did not know lowest"):
        load_optimizer(newer, saved)
