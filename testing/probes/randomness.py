"""Whether a part draws only from the generator that it is handed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def _states() -> dict[str, object]:
    kind, key, *rest = np.random.get_state(legacy=True)
    numpy_state = [kind, np.asarray(key).tolist(), *rest]
    states: dict[str, object] = {
        "Python's own generator (random.random and the like)": random.getstate(),
        "NumPy's global generator (np.random.rand and the like)": numpy_state,
        "torch's global generator (torch.rand and the like)": torch.get_rng_state().tolist(),
    }
    if torch.cuda.is_initialized():
        on_gpus = [state.tolist() for state in torch.cuda.get_rng_state_all()]
        states["torch's global generator of a GPU"] = on_gpus
    return states


@contextmanager
def global_generators_untouched(what: str, mend: str) -> Iterator[None]:
    """Raises AssertionError if the block draws from a global generator."""
    before = _states()
    yield
    for name, state in _states().items():
        assert state == before.get(name, state), f"{what} draws from {name}: {mend}"
