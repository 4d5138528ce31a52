"""Taylor series that answer to the usual torch operations.

A `Series` stands for a smooth function of the coordinates near each collocation point, truncated to the
jets that the equations look at (see `jets.py`). Coordinates that enter a network as series leave it with
all wanted derivatives, exact to rounding, after one forward pass (Griewank & Walther, *Evaluating
Derivatives*, 2nd ed., chapter 13).
"""

from pinn.engine.derivatives import functions, operations
from pinn.engine.derivatives.series import (
    RULES,
    Series,
    SeriesError,
    UnknownOperation,
    coordinate,
    rule,
)

__all__ = [
    "RULES",
    "Series",
    "SeriesError",
    "UnknownOperation",
    "coordinate",
    "functions",
    "operations",
    "rule",
]
