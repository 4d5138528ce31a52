"""One seed, independent named streams, and the state of the global generators."""

from __future__ import annotations

import random
from typing import Any
from zlib import crc32

import numpy as np
import torch


def numpy_generator(seed: int, name: str, *draw: int) -> np.random.Generator:
    """The stream called `name`; `draw` numbers independent uses of it, so that none has a state."""
    return np.random.default_rng([seed, crc32(name.encode()), *draw])


def torch_generator(seed: int, name: str, *draw: int) -> torch.Generator:
    """As `numpy_generator`, for torch, on the CPU."""
    stream = numpy_generator(seed, name, *draw)
    return torch.Generator().manual_seed(int(stream.integers(2**63)))


def seed_everything(seed: int) -> None:
    """Seed the global generators, for parts that draw from them."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def global_state() -> dict[str, Any]:
    """The state of the global generators as plain values and tensors."""
    version, words, gauss = random.getstate()
    kind, key, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(words), gauss],
        "numpy": [
            str(kind),
            torch.from_numpy(np.asarray(key).astype(np.int64)),
            position,
            has_gauss,
            cached,
        ],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def restore_global_state(state: dict[str, Any]) -> None:
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, key, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, key.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])
