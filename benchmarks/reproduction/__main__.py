"""What the papers found, looked for again, at one of three scales.

    python -m benchmarks.reproduction recorded    # the authors' own recorded runs: seconds
    python -m benchmarks.reproduction laptop      # two cores, a night
    python -m benchmarks.reproduction paper       # a GPU; with --minutes 8, in pieces

Trains what is not done yet, going on where it stopped, keeps the numbers of every run that is done in
`results/reproduction/`, and writes docs/reproduction.md from all that is kept.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from benchmarks.reproduction.page import write_page
from benchmarks.reproduction.plan import ROOT, SCALES
from benchmarks.reproduction.training import train_all


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scale", choices=["recorded", *SCALES])
    parser.add_argument("--at-once", type=int, default=2, help="runs at a time, a core each")
    parser.add_argument("--minutes", type=float, help="to stop after; call again to go on")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[""],
        help="of the runs, those whose name has one of these in it",
    )
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="where the runs are kept")
    parser.add_argument("--output", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if options.scale != "recorded":
        jobs = [
            job
            for job in SCALES[options.scale].jobs()
            if any(only in job.name for only in options.only)
        ]
        train_all(jobs, options.runs, options.at_once, options.minutes)
    print(f"wrote {write_page(options.output)}")


if __name__ == "__main__":
    main()
