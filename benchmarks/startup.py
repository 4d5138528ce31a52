"""Start-up time of commands that do not train.

python -m benchmarks.startup --output benchmarks/results/startup.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.machine import describe

COMMANDS = (["list"], ["describe", "rba"], ["check", "pinn.toml"])


def seconds(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    results = {}
    for arguments in COMMANDS:
        command = [str(Path(sys.executable).parent / "pinn"), *arguments]
        times = sorted(seconds(command) for _ in range(options.rounds + 1))[: options.rounds]
        results["pinn " + " ".join(arguments)] = {
            "median_s": round(statistics.median(times), 2),
            "minimum_s": round(times[0], 2),
        }
    print(json.dumps(results, indent=1))
    if options.output:
        document = {"machine": describe(), "rounds": options.rounds, "results": results}
        options.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
