"""One seed, independent named streams."""

from __future__ import annotations

from zlib import crc32

import numpy as np

from pinn.core.lazy import torch


def numpy_generator(seed: int, name: str, *draw: int) -> np.random.Generator:
    """The stream called `name`; `draw` numbers independent uses of it, so that none has a state."""
    return np.random.default_rng([seed, crc32(name.encode()), *draw])


def torch_generator(seed: int, name: str, *draw: int) -> torch.Generator:
    """The same stream as a generator of torch, on the CPU."""
    stream = numpy_generator(seed, name, *draw)
    return torch.Generator().manual_seed(int(stream.integers(2**63)))
