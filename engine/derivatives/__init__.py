"""From q.u_xx in an equation to a tensor, in one forward pass.

A `Series` stands for a smooth function of the coordinates near each collocation point, truncated to the
jets that the equations look at (see `jets.py`). Coordinates that enter a network as series leave it with
all wanted derivatives, exact to rounding (Griewank & Walther, *Evaluating Derivatives*, 2nd ed.,
chapter 13).
"""

from pinn.engine.derivatives import functions, operations  # noqa: F401  they register the rules
from pinn.engine.derivatives.series import (
    RULES as RULES,
    Series as Series,
    SeriesError as SeriesError,
    UnknownOperation as UnknownOperation,
    coordinate as coordinate,
    rule as rule,
)
