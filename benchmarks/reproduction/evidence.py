"""What is kept of a run: every number that it recorded, small enough to be committed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tomli
from attrs import evolve, frozen
from numpy.typing import NDArray

from benchmarks.reproduction.plan import ROOT, Job, Scale
from pinn.core.files import write_atomically
from pinn.engine import Config, Run

RESULTS = ROOT / "benchmarks" / "results" / "reproduction"
Array = NDArray[np.float64]


@frozen(eq=False)
class Evidence:
    """One run.

    Attributes:
        set_up: such as "helmholtz-rba".
        variant: what an ablation changed; empty for none.
        series: {quantity: (steps, values)}
        toml: its complete configuration.
        seconds: of training, without analyzers.
        device: what trained it; empty where it was not noted.
    """

    set_up: str
    seed: int
    variant: str
    series: Mapping[str, tuple[Array, Array]]
    toml: str
    seconds: float
    device: str = ""

    @property
    def last_step(self) -> float:
        return max(float(steps[-1]) for steps, _ in self.series.values() if len(steps))

    @property
    def planned_steps(self) -> float:
        """Of the whole run; those that it made where its configuration is not known."""
        stages = tomli.loads(self.toml).get("optimizers", [])
        return sum(stage["steps"] for stage in stages) or self.last_step

    @property
    def problem(self) -> str:
        return self.set_up.rpartition("-")[0]

    @property
    def weighting(self) -> str:
        return self.set_up.rpartition("-")[2]

    def rows(self) -> list[dict[str, float]]:
        """What was recorded at each step, in the order of the steps."""
        rows: dict[float, dict[str, float]] = {}
        for name, (steps, values) in self.series.items():
            for step, value in zip(steps.tolist(), values.tolist(), strict=True):
                rows.setdefault(step, {"step": step})[name] = value
        return [rows[step] for step in sorted(rows)]


def path_of(job: Job) -> Path:
    return RESULTS / job.scale.name / f"{job.name}.npz"


def keep(run: Run, job: Job) -> None:
    """Write the numbers of a run, unless it is kept to a later step.

    In single precision, two rows (steps, values) a quantity.
    """
    before = kept(job)
    if before is not None and before.last_step > run.summary["steps"]:
        return
    arrays: dict[str, Any] = {
        name: np.stack([steps, values]).astype(np.float32)
        for name, (steps, values) in run.metrics().items()
        if values.dtype.kind in "fi" and values.ndim == 1 and name != "seconds"
    }
    assert isinstance(run.config, Config)
    toml = run.config.in_directory(Path("runs") / job.scale.name / job.name).toml()
    seconds = float(run.summary["seconds"]["training"])
    arrays |= {"toml": np.array(toml), "training_seconds": np.array(seconds)}
    arrays["device"] = np.array(_device_of(run.config.directory))
    path = path_of(job)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_atomically(path, content.getvalue())


def _device_of(directory: Path) -> str:
    made_with = json.loads((directory / "environment.json").read_text(encoding="utf-8"))
    return str(made_with["device"])


def kept(job: Job) -> Evidence | None:
    """What was kept of a run; None where it is not done."""
    path = path_of(job)
    if not path.exists():
        return None
    with np.load(path) as file:
        arrays = dict(file)
    toml, seconds = str(arrays.pop("toml")), float(arrays.pop("training_seconds"))
    device = str(arrays.pop("device", ""))
    series = {name: (a[0].astype(float), a[1].astype(float)) for name, a in arrays.items()}
    return Evidence(job.set_up, job.seed, job.variant, series, toml, seconds, device)


def recorded(folder: Path) -> list[Evidence]:
    """The authors' own runs, from files such as allen-cahn_rba.csv."""
    found = []
    for path in sorted(folder.glob("*.csv")):
        table = np.genfromtxt(path, delimiter=",", names=True)
        series = {}
        for name in table.dtype.names or ():
            known = np.isfinite(table[name])
            if name != "step" and known.any():
                series[name] = (table["step"][known], table[name][known])
        mean, std = (series[f"gradient_{moment}_norm"] for moment in ("mean", "std"))
        ratio = mean[1] / std[1]
        series["snr"] = mean[0], ratio
        series["gradient_order"] = mean[0], ratio / np.hypot(1, ratio)
        mean, rms = (series[f"weight_cell_{moment}"] for moment in ("mean", "rms"))
        series["residual_order"] = mean[0], mean[1] / rms[1]
        set_up = path.stem.replace("_", "-")
        found.append(Evidence(set_up, 0, "", series, "", 0.0))
    return found


def cut(run: Evidence, step: float) -> Evidence:
    """The run as far as this step."""
    series = {name: (s[s <= step], v[s <= step]) for name, (s, v) in run.series.items()}
    return evolve(run, series=series)


def all_kept(scale: Scale) -> Iterator[Evidence]:
    found = map(kept, scale.jobs())
    return (evidence for evidence in found if evidence is not None)
