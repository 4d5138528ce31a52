"""The error that minutes buy with `pinn` and with other programs, in turns, seed by seed.

    python -m benchmarks.peers.in_turns helmholtz-1-4 --minutes 3

So what else the machine does is shared by all. Own curves are kept as
`beside_peers` in `results/accuracy.json`, those of others as `peers`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from itertools import product
from pathlib import Path

from benchmarks.accuracy import RESULTS, ROOT, run, thinned
from benchmarks.machine import describe
from benchmarks.peers.errors import SIZES

PEERS = ("deepxde", "pina", "jax")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("problems", nargs="+", choices=list(SIZES))
    parser.add_argument("--minutes", type=float, default=3, help="of two cores")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "beside-peers")
    parser.add_argument(
        "--one", action="store_true", help="the first problem and seed, `pinn` alone"
    )
    asked = parser.parse_args()
    for seed, problem in product(asked.seeds, asked.problems):
        what = [problem, "--minutes", str(asked.minutes), "--seeds", str(seed)]
        keep(problem, seed, asked.minutes, asked.runs)
        for peer in asked.peers:
            program = f"benchmarks.peers.{peer}_accuracy"
            subprocess.run([sys.executable, "-m", program, *what], check=True)


def keep(problem: str, seed: int, minutes: float, runs: Path) -> None:
    """Train, and keep the curve."""
    curve = run(problem, seed, minutes, runs)
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    kept.setdefault("beside_peers", {}).setdefault(problem, {})[str(seed)] = thinned(curve)
    RESULTS.write_text(json.dumps(kept | {"machine": describe()}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
