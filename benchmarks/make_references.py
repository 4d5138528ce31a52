"""Compute the cavity flows that are shipped in `problems/data` and report how accurate they are.

    python -m benchmarks.make_references [--table tests/problems/data/ghia_1982.csv]

Every flow is solved with two numbers of modes and their difference is printed. With a table of
centre-line values (columns reynolds, line, coordinate, value) the largest deviation from it is
printed as well. Takes five minutes on one core.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pinn.problems import cavity_reference as cavity

REYNOLDS = (100, 400, 1000, 3200)
LIDS: tuple[cavity.Lid, ...] = ("constant", "regularised")
# Modes a side of the refinement check and of the shipped flow.
COARSE_FINE = {100: (48, 64), 400: (48, 64), 1000: (80, 96), 3200: (80, 96)}
POINTS = 129
# Rounded to multiples of these, float32 values compress well; far below the error of the solver.
QUANTA = {"u": 2.0**-17, "v": 2.0**-17, "p": 2.0**-19, "psi": 2.0**-23}

Array = NDArray[np.float64]


def relative(a: Array, b: Array) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def differences(coarse: cavity.Fields, fine: cavity.Fields) -> str:
    """Relative L2 differences of speed and pressure; p also without the upper corners."""
    speed = relative(np.hypot(coarse["u"], coarse["v"]), np.hypot(fine["u"], fine["v"]))
    x = np.linspace(0, 1, POINTS)
    near = np.hypot(np.minimum(x, 1 - x)[:, None], 1 - x[None, :]) < 0.05
    p, p_fine = coarse["p"], fine["p"]
    return (
        f"speed {speed:.1e}, p {relative(p, p_fine):.1e}, "
        f"p away from the upper corners {relative(p[~near], p_fine[~near]):.1e}"
    )


def deviations(fields: cavity.Fields, reynolds: int, table: Path) -> Iterator[tuple[float, str]]:
    """How far the centre lines are from each tabulated value.

    Ghia et al. give the coordinates of a 129 x 129 grid, rounded to four digits.
    """
    with table.open(newline="") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            if int(row["reynolds"]) != reynolds:
                continue
            node, middle = round(float(row["coordinate"]) * (POINTS - 1)), (POINTS - 1) // 2
            at = (middle, node) if row["line"] == "u" else (node, middle)
            deviation = abs(float(fields[row["line"]][at]) - float(row["value"]))
            yield deviation, f"{row['line']} at {row['coordinate']} (printed {row['value']})"


def write(path: Path, x: Array, fields: cavity.Fields) -> None:
    u, v, p, psi = (
        (np.round(fields[name] / quantum) * quantum).astype(np.float32)
        for name, quantum in QUANTA.items()
    )
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, x=x, y=x, u=u, v=v, p=p, psi=psi)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--table", type=Path, help="centre-line values to compare with")
    table = parser.parse_args().table
    x = np.linspace(0, 1, POINTS)
    for reynolds in REYNOLDS:
        for lid in LIDS:
            start = time.perf_counter()
            coarse, fine = (
                cavity.sample(cavity.solve_flow(reynolds, lid, modes), x)
                for modes in COARSE_FINE[reynolds]
            )
            path = cavity.data_file(reynolds, lid)
            write(path, x, fine)
            seconds, size = time.perf_counter() - start, path.stat().st_size / 1000
            print(f"{path.name}: {size:.0f} kB, {seconds:.0f} s")
            print("  {} to {} modes: ".format(*COARSE_FINE[reynolds]) + differences(coarse, fine))
            if table and lid == "constant":
                for deviation, where in sorted(deviations(fine, reynolds, table), reverse=True)[:3]:
                    print(f"  {deviation:.4f} from the table: {where}", flush=True)


if __name__ == "__main__":
    main()
