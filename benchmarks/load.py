"""What large runs cost to look at: a report of 100,000 records, 500 MB of metrics, 50 runs compared.

python -m benchmarks.load --output benchmarks/results/load.json

Each is done in a process of its own, whose peak of memory is that of the interpreter and all libraries,
too. Records are of the quantities of a run with the default analyzers, every one of them measured.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.machine import describe
from pinn.core.records import Records
from pinn.engine import parse_config, train

RECORDS, MEGABYTES, RUNS = 100_000, 500, 50
MEASURED = """
import json, re, sys, time
begin = time.perf_counter()
{work}
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())
memory = int(peak[1]) / 1024  # what getrusage says is that of the process before, too
print(json.dumps({{"seconds": time.perf_counter() - begin, "megabytes": memory}}))
"""
REPORT = "from pinn.engine import write_report; write_report(sys.argv[1])"
METRICS = "from pinn.engine import open_run; open_run(sys.argv[1]).metrics()"
COMPARE = "from pathlib import Path; from pinn.engine import compare\n"
COMPARE += "compare([Path(name) for name in sys.argv[2:]], Path(sys.argv[1]))"


def measured(work: str, *words: Path) -> dict[str, float]:
    command = [sys.executable, "-c", MEASURED.format(work=work), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {name: round(value, 2) for name, value in found.items()}


def small_run(folder: Path) -> Path:
    """A run that is over soon, with the default analyzers."""
    names = ("error", "snr", "adam-snr", "homogeneity", "phases")
    table = {
        "run": {"directory": str(folder), "compile": "never"},
        "problem": {"name": "burgers"},
        "points": {"interior": 256, "conditions": 16},
        "network": {"width": 8, "depth": 2},
        "optimizers": [{"name": "adam", "steps": 20}],
        "analyzers": [{"name": name, "every": 1} for name in names],
    }
    return train(parse_config(table)).path


def lengthen(run: Path, records: int) -> None:
    """As many records as a long run has, each with the quantities of the last."""
    file = run / "metrics.jsonl"
    last = {k: v for k, v in Records(file).rows[-1].items() if isinstance(v, float)}
    noise = np.random.default_rng(0)
    with file.open("w", encoding="utf-8") as lines:
        for step in range(1, records + 1):
            factors = noise.lognormal(0, 0.3, len(last)).tolist()
            row = {n: v * f for (n, v), f in zip(last.items(), factors, strict=True)}
            lines.write(json.dumps({"step": step, **row}) + "\n")


def appended(folder: Path, before: int, count: int = 2000) -> float:
    """Microseconds to append a record behind so many."""
    records = Records(folder / f"{before}.jsonl")
    records.rows = ({"step": step, "loss": 1.0, "snr": 2.0} for step in range(before))
    begin = time.perf_counter()
    for step in range(before, before + count):
        records.append(step, {"loss": 1.0, "snr": 2.0})
    return round(1e6 * (time.perf_counter() - begin) / count, 1)


def measure(folder: Path, records: int, megabytes: int, runs: int) -> dict[str, Any]:
    run = small_run(folder / "run")
    copies: Sequence[Path] = [folder / f"copy-{number}" for number in range(runs)]
    for copy in copies:
        shutil.copytree(run, copy)
        lengthen(copy, 200)
    found: dict[str, Any] = {"report of a short run": measured(REPORT, run)}
    lengthen(run, records)
    found["report"] = {"records": records, **measured(REPORT, run)}
    found["report"]["page"] = round((run / "report.html").stat().st_size / 2**20, 2)
    size = (run / "metrics.jsonl").stat().st_size
    lengthen(run, round(records * megabytes * 10**6 / size))
    found["metrics"] = {"file": megabytes, **measured(METRICS, run)}
    found["compare"] = {"runs": runs, **measured(COMPARE, folder / "compare.html", *copies)}
    found["append"] = {str(before): appended(folder, before) for before in (1000, 1_000_000)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = {"machine": describe(), **measure(Path(folder), RECORDS, MEGABYTES, RUNS)}
    text = json.dumps(found, indent=2)
    print(text)
    if asked.output:
        asked.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
