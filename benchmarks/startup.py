"""Start-up time of commands that do not train, as installed and with a hundred plugins besides.

python -m benchmarks.startup --output benchmarks/results/startup.json
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.machine import describe

COMMANDS = (["list"], ["describe", "rba"], ["check", "pinn.toml"])
PLUGINS = 100

PLUGIN = '''\
from math import pi

from attrs import frozen
from pinn.core import Box, Condition, Problem, hookimpl
from pinn.core.lazy import torch


@frozen
class Heat(Problem):
    """u_t = kappa u_xx on [0, 1] x [0, 1] with u(x, 0) = sin(pi x) and u = 0 at both ends."""

    name = "heat-{number}"
    fields = ("u",)
    domain = Box(x=(0, 1), t=(0, 1))

    kappa: float = 0.1

    def equations(self, q):
        return {{"heat": q.u_t - self.kappa * q.u_xx}}

    def conditions(self):
        yield Condition("initial", on="t=0", residual=lambda q: q.u - torch.sin(pi * q.x))
        yield Condition("walls", on=("x=0", "x=1"), residual=lambda q: q.u)

    def solution(self, q):
        return {{"u": torch.exp(-self.kappa * pi**2 * q.t) * torch.sin(pi * q.x)}}


@hookimpl
def pinn_problems():
    return [Heat]
'''
METADATA = """\
Metadata-Version: 2.1
Name: pinn-heat-{number}
Version: 0.1
Requires-Dist: pinn-dynamics>=0.1

"""


def install(folder: Path, count: int) -> None:
    """`count` plugins, as pip would leave them there."""
    for number in range(count):
        module = f"pinn_heat_{number}"
        (folder / f"{module}.py").write_text(PLUGIN.format(number=number))
        information = folder / f"{module}-0.1.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(METADATA.format(number=number) + "A line.\n" * 200)
        (information / "entry_points.txt").write_text(f"[pinn]\nheat-{number} = {module}\n")
    compileall.compile_dir(folder, quiet=1)


def seconds(arguments: list[str], path: str) -> float:
    command = [str(Path(sys.executable).parent / "pinn"), *arguments]
    begin = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True, env=os.environ | {"PYTHONPATH": path})
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    results = {}
    with TemporaryDirectory() as folder:
        install(Path(folder), PLUGINS)
        for arguments in COMMANDS:
            name = "pinn " + " ".join(arguments)
            times: dict[str, list[float]] = {name: [], f"{name}, {PLUGINS} plugins": []}
            for _ in range(options.rounds + 1):
                for measured, path in zip(times.values(), ("", folder), strict=True):
                    measured.append(seconds(arguments, path))
            for case, measured in times.items():
                kept = sorted(measured)[: options.rounds]  # the first one reads the files
                results[case] = {
                    "median_s": round(statistics.median(kept), 2),
                    "minimum_s": round(kept[0], 2),
                }
    print(json.dumps(results, indent=1))
    if options.output:
        document = {"machine": describe(), "rounds": options.rounds, "results": results}
        options.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
