"""What a run recorded, as a pandas DataFrame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pinn.core.errors import PinnError
from pinn.core.records import Record, cell

if TYPE_CHECKING:
    import pandas


def frame(rows: Sequence[Record]) -> pandas.DataFrame:
    """One row a recorded step (the index), one column a quantity, in the order of their first record.

    NaN stands where a quantity was not measured or not finite, so that whole numbers become floats where
    some are missing. Arrays are NumPy arrays in a column of objects.

    Raises:
        PinnError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise PinnError(
            "frame() needs the package pandas: pip install 'pinn-dynamics[pandas]'"
        ) from error
    names = dict.fromkeys(name for row in rows for name in row if name != "step")
    steps = pandas.Index([row["step"] for row in rows], dtype=np.int64, name="step")
    columns = {name: [cell(row.get(name)) for row in rows] for name in names}
    return pandas.DataFrame(columns, index=steps)
