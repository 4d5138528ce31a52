"""docs/reproduction.md: what the runs say of each finding, and the numbers behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, frozen
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.reproduction.evidence import RESULTS, all_kept, cut, recorded
from benchmarks.reproduction.facts import Facts
from benchmarks.reproduction.figures import NAMES, draw_all
from benchmarks.reproduction.findings import (
    FINDINGS,
    Verdict,
    judge,
    pairs,
    rba_generalises_better,
    three_phases,
)
from benchmarks.reproduction.plan import ABLATIONS, MARKED, PROBLEMS, ROOT, SCALES, SET_UPS, Job
from benchmarks.reproduction.statistics import Share, median_and_range, median_time, sooner

TRACES = ROOT.parent / "shared" / "traces"
RECORDED = RESULTS / "recorded.json"


def write_page(folder: Path) -> Path:
    """Write the page and its figures into `folder`, from all that is kept."""
    scales = {name: [Facts(e) for e in all_kept(scale)] for name, scale in SCALES.items()}
    whole = {name: [f for f in runs if not f.evidence.variant] for name, runs in scales.items()}
    of_authors, rows_of_authors, cut_short = of_recorded_runs(folder / "reproduction")
    verdicts = {"recorded": of_authors}
    verdicts |= {
        name: [judge(finding, runs) for finding in FINDINGS] for name, runs in whole.items() if runs
    }
    for name, runs in whole.items():
        draw_all(runs, folder / "reproduction", name)
    figures = {
        scale: [f"{scale}-{p}.png" for p in PROBLEMS if _has_figure(folder, scale, p)]
        for scale in ("recorded", *SCALES)
    }
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("page.md.jinja").render(
        claims=[finding.claim for finding in FINDINGS],
        verdicts={scale: {v.claim: v for v in found} for scale, found in verdicts.items()},
        tables={"recorded": rows_of_authors}
        | {name: list(set_up_rows(runs)) for name, runs in whole.items() if runs},
        sooner={name: list(sooner_rows(runs)) for name, runs in whole.items()},
        cut_short=cut_short,
        ablated=SCALES["laptop"].ablated,
        ablations=list(ablation_rows(scales["laptop"])),
        counts={
            name: (len(runs), SCALES[name].seeds * len(SET_UPS)) for name, runs in whole.items()
        },
        figures=figures,
        cell=cell,
    )
    path = folder / "reproduction.md"
    path.write_text(text, encoding="utf-8")
    return path


def _has_figure(folder: Path, scale: str, problem: str) -> bool:
    return (folder / "reproduction" / f"{scale}-{problem}.png").exists()


def of_recorded_runs(figures: Path) -> tuple[list[Verdict], list[SetUpRow], list[CutRow]]:
    """Of the authors' own runs; what was said last where they are not at hand."""
    if TRACES.exists():
        runs = [Facts(evidence) for evidence in recorded(TRACES)]
        draw_all(runs, figures, "recorded")
        document = {
            "verdicts": [asdict(judge(finding, runs)) for finding in FINDINGS],
            "rows": [asdict(row) for row in set_up_rows(runs)],
            "cut": [asdict(row) for row in cut_rows(runs)],
        }
        RECORDED.parent.mkdir(parents=True, exist_ok=True)
        RECORDED.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    if not RECORDED.exists():
        return [], [], []
    kept = json.loads(RECORDED.read_text(encoding="utf-8"))
    verdicts = [Verdict(**v | {"share": Share(**v["share"])}) for v in kept["verdicts"]]
    rows, cut_short = [SetUpRow(**row) for row in kept["rows"]], kept["cut"]
    return verdicts, rows, [CutRow(**row) for row in cut_short]


def cell(verdict: Verdict | None) -> str:
    """ "**yes**: 4 of 5 (chance 50 %)" """
    if verdict is None or not verdict.share.of:
        return "–"
    share = verdict.share
    remark = f": {verdict.contradiction}" if share.word == "no" and verdict.contradiction else ""
    return f"**{share.word}**{remark}; {share.held} of {share.of}, by chance {share.chance:.0%}"


@frozen
class SetUpRow:
    """What the seeds of one set-up have in common, in words."""

    name: str
    seeds: int
    steps: str
    error: str
    fitting_ends: str
    total_diffusion: str
    three_phases: str
    marked: str
    gap: str
    minutes: str
    device: str


def set_up_rows(runs: Sequence[Facts]) -> Iterator[SetUpRow]:
    for set_up in SET_UPS:
        own = [facts for facts in runs if facts.evidence.set_up == set_up]
        if not own:
            continue
        phases = [three_phases(f) for f in own]
        decided = [phase for phase in phases if phase is not None]
        devices = {f.evidence.device for f in own}
        yield SetUpRow(
            name=name_of(set_up),
            seeds=len(own),
            steps=steps_of(own),
            error=spread([f.error() for f in own], "{:.2e}"),
            fitting_ends=spread([f.fitting_ends for f in own if f.fitting_ends], "{:,.0f}"),
            total_diffusion=when(own),
            three_phases=f"{sum(decided)} of {len(decided)}" if decided else "–",
            marked=" / ".join(f"{step:,}" for step in MARKED.get(set_up, ())) or "–",
            device=", ".join(sorted(devices - {""})),
            gap=spread(
                [f.last("residual_gap") for f in own if f.measured("residual_gap")], "{:.1f}"
            ),
            minutes=spread([f.evidence.seconds / 60 for f in own if f.evidence.seconds], "{:.0f}"),
        )


def name_of(set_up: str) -> str:
    problem, _, weighting = set_up.rpartition("-")
    return f"{NAMES[problem]}, {weighting}"


@frozen
class CutRow:
    """What is announced of a recorded run that ends where ours of its set-up do, and of the whole."""

    name: str
    steps: str
    then: str
    whole: str


def cut_rows(recorded_runs: Sequence[Facts]) -> Iterator[CutRow]:
    for facts in recorded_runs:
        set_up = facts.evidence.set_up
        stage = Job(SCALES["laptop"], set_up, 0).table()["optimizers"][0]
        yield CutRow(
            name=name_of(set_up),
            steps=f"{stage['steps']:,}",
            then=when([Facts(cut(facts.evidence, stage["steps"]))]),
            whole=when([facts]),
        )


def steps_of(runs: Sequence[Facts]) -> str:
    """ "27,000 of 300,000" where the runs are not done."""
    made = max(f.last_step for f in runs)
    planned = max(f.evidence.planned_steps for f in runs)
    return f"{made:,.0f}" if made >= planned else f"{made:,.0f} of {planned:,.0f}"


def sooner_rows(runs: Sequence[Facts]) -> Iterator[tuple[str, str, str, str, str]]:
    """(problem, median with RBA, median without, log-rank p, pairs in which the error is lower)"""
    both = pairs(runs)
    for problem in PROBLEMS:
        own = [pair for (name, _), pair in both.items() if name == problem]
        if not own:
            continue
        sides = list(zip(*own, strict=True))
        times = [[f.time_to_total_diffusion for f in side] for side in sides]
        p = sooner(*times)
        better = sum(rba_generalises_better(*pair) is True for pair in own)
        yield (
            NAMES[problem],
            when(sides[0]),
            when(sides[1]),
            f"{p:.3f}" if p == p else "–",
            f"{better} of {len(own)}",
        )


def when(runs: Sequence[Facts]) -> str:
    """The Kaplan-Meier median of the time to total diffusion, and how many have not seen it."""
    times = [facts.time_to_total_diffusion for facts in runs]
    middle = median_time(times)
    unseen = sum(not time.happened for time in times)
    last = max(time.step for time in times)
    text = f"after {last:,.0f}" if middle is None else f"{middle:,.0f}"
    return f"{text} ({unseen} not seen)" if unseen else text


def ablation_rows(runs: Sequence[Facts]) -> Iterator[tuple[str, str, str, str, str]]:
    """(what is changed, how, seeds, total diffusion, error)"""
    for variant, changes in ABLATIONS.items():
        own = [facts for facts in runs if facts.evidence.variant == variant]
        if own:
            yield (
                variant.replace("-", " "),
                ", ".join(f"`{change}`" for change in changes) or "nothing",
                str(len(own)),
                when(own),
                spread([f.error() for f in own], "{:.2e}"),
            )


def spread(values: Sequence[Any], form: str) -> str:
    """ "median (least – largest)"; the value alone where it is one."""
    if not values:
        return "–"
    shown = [form.format(value) for value in median_and_range([float(v) for v in values])]
    return shown[0] if len(values) == 1 else f"{shown[0]} ({shown[1]} – {shown[2]})"
