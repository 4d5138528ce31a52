"""What the papers found, looked for in runs of all four problems, with and without RBA.

    python -m benchmarks.reproduction                  # laptop scale, about an hour on two cores
    python -m benchmarks.reproduction --scale paper    # 300,000 steps of 6 x 128: for a GPU

Trains what configs/laptop (or configs) describe, continuing what is there, and writes the page, its
figures and its numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.findings import Facts, facts_of
from benchmarks.machine import describe
from benchmarks.reproduction_page import draw, page
from pinn.engine import load_config, open_run

ROOT = Path(__file__).parents[1]
PROBLEMS = ("allen-cahn", "cavity", "helmholtz", "burgers")
WEIGHTINGS = ("vanilla", "rba")
SCALES = {"laptop": ROOT / "configs" / "laptop", "paper": ROOT / "configs"}
PINN = "from pinn.engine.cli import main; main()"


def train(file: Path) -> None:
    """One run in a process of its own, on one core, with its output in a log beside its directory."""
    directory = load_config(file).directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    one_core = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PINN, "run", str(file)]
    path = directory.with_suffix(".log")
    with path.open("a") as log:
        status = subprocess.run(
            command, stdout=log, stderr=log, env=one_core, check=False
        ).returncode
    if status:
        raise SystemExit(f"{file}: ended with status {status}; {path} says why")
    print(f"{file.stem}: done", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", choices=SCALES, default="laptop")
    parser.add_argument("--at-once", type=int, default=2, help="runs at a time, a core each")
    parser.add_argument("--output", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    files = [SCALES[options.scale] / f"{p}-{w}.toml" for p in PROBLEMS for w in WEIGHTINGS]
    with ThreadPoolExecutor(options.at_once) as pool:
        list(pool.map(train, files))
    facts: dict[str, dict[str, Facts]] = {}
    figures = options.output / "reproduction"
    figures.mkdir(parents=True, exist_ok=True)
    for problem in PROBLEMS:
        runs = {
            w: open_run(load_config(SCALES[options.scale] / f"{problem}-{w}.toml").directory)
            for w in WEIGHTINGS
        }
        facts[problem] = {w: facts_of(run) for w, run in runs.items()}
        draw(figures / f"{problem}.png", problem, runs, facts[problem])
    (options.output / "reproduction.md").write_text(page(facts, options.scale), encoding="utf-8")
    document = {
        "machine": describe(),
        "command": f"python -m benchmarks.reproduction --scale {options.scale}",
        "runs": {f"{p}-{w}": f.as_document() for p, both in facts.items() for w, f in both.items()},
    }
    results = ROOT / "benchmarks" / "results" / f"reproduction-{options.scale}.json"
    results.write_text(json.dumps(document, indent=1) + "\n")
    print(f"wrote {options.output / 'reproduction.md'} and {results}")


if __name__ == "__main__":
    main()
