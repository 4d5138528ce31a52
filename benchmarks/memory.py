"""Peak memory of training steps against the number of points, whole and in chunks.

    python -m benchmarks.memory --output benchmarks/results/memory.json

Allen-Cahn, 6 x 128 tanh, float32, eager. Each case is a process of its own; what a process takes before
its first step is subtracted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.machine import describe

CHUNK = 4096


def one_case(points: int, chunk: int) -> float:
    """MiB that two steps add to this process's peak."""
    from benchmarks.peers import taylor

    step = taylor.make_step("allen-cahn", points, compiled=False, chunk=chunk)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step()
    step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--points", nargs="+", type=int, default=[8192, 16384, 32768, 65536, 131072]
    )
    parser.add_argument("--case", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.case:
        print(one_case(*options.case))
        return
    results = []
    for points in options.points:
        row: dict[str, float] = {"points": points}
        for name, chunk in (("whole_mib", 0), (f"chunk_{CHUNK}_mib", CHUNK)):
            command = [sys.executable, "-m", "benchmarks.memory", "--case", str(points), str(chunk)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            row[name] = round(float(done.stdout))
        results.append(row)
        print(json.dumps(row), flush=True)
    if options.output:
        document = {"machine": describe(), "results": results}
        options.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
