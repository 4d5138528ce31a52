"""What is meant by errors of torch, and the way out."""

from __future__ import annotations

from pinn.engine.derivatives.operators import AT_EACH_POINT

HINTS = {
    "Boolean value of Tensor": AT_EACH_POINT,
    "converted to Python scalar": "; quantities have a value at each point: write torch.sin, not "
    "math.sin",
    "numpy() on Tensor": "; NumPy's functions know no derivatives: write torch.sin, not np.sin",
    "not have been used in the graph": "; derivatives are read as q.u_x, and of an expression as "
    'q.d(expression, "x")',
    "does not require grad": "; derivatives are read as q.u_x, and of an expression as "
    'q.d(expression, "x")',
}


def hint_for(error: Exception) -> str:
    return next((hint for text, hint in HINTS.items() if text in str(error)), "")
