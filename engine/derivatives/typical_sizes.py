"""How large residuals are for smooth fields of their usual size."""

from __future__ import annotations

from typing import Any

import numpy as np

from pinn.engine.derivatives.mixing import probed
from pinn.engine.derivatives.residuals import Residuals


def typical_sizes(law: Residuals) -> dict[str, float]:
    """The root mean square of each residual; 0 where that is not known."""
    found = probed(law)
    if found is None:
        return dict.fromkeys(law.names, 0.0)
    sizes: Any = found.square().mean(1).sqrt().nan_to_num(0, 0, 0)
    return dict(zip(law.names, sizes.tolist(), strict=True))


def size_together(law: Residuals) -> float:
    """√Σ of the squares of the sizes: that of a term of several residuals."""
    return float(np.linalg.norm([*typical_sizes(law).values()]))
