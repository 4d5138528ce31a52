"""Global random generators, left as they were by what a file's problem draws while it is read."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def generators_kept() -> Iterator[None]:
    """The generators of Python, NumPy and, where it is loaded, torch are afterwards as before."""
    python, numpy = random.getstate(), np.random.get_state(legacy=False)
    torch = sys.modules.get("torch")  # loading it would take seconds
    state = torch.get_rng_state() if torch else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if torch:
            torch.set_rng_state(state)
