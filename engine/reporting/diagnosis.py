"""What a person should conclude from a run: what its analyzers say, and what was noted in training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from attrs import frozen

from pinn.core.errors import PinnError
from pinn.core.plots import Conclusion
from pinn.core.records import Records
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.configuration.unbuilt import Unbuilt
from pinn.engine.reporting.content import Section, sections

NOTE = "note"
"""Who said what was said while the run trained."""
LATE, STILL = 0.75, 0.01
"""From which share of the steps on an unknown that moves no more than by such a share stands still."""


@frozen
class Diagnosis:
    """Of one run.

    Attributes:
        conclusions: (analyzer, what it concludes), those with advice first.
        faults: what went wrong in drawing them, one line each.
    """

    conclusions: Sequence[tuple[str, Conclusion]]
    faults: Sequence[str]

    def text(self) -> str:
        """A paragraph a conclusion: what is seen, what to try, by which analyzer and after whom."""
        if not self.conclusions:
            return (
                "Nothing to conclude from what was measured. Of runs that fail the analyzers balance, "
                "compression, fresh, phases and search have the most to say."
            )
        return "\n\n".join(_paragraph(who, conclusion) for who, conclusion in self.conclusions)


def diagnose(path: str | Path) -> Diagnosis:
    """What to conclude from the run in the directory `path`, and what to try next.

    Raises:
        PinnError: there is no run, or its configuration is not one.
    """
    directory = RunDirectory(Path(path))
    config = directory.read_described()
    records = directory.records()
    of_analyzers = sections(config, records)
    faults = [config.lacking] if isinstance(config, Unbuilt) else []
    faults += [f"{directory.metrics}: {text}" for text in records.damage]
    faults += [f"{section.name}: {fault}" for section in of_analyzers for fault in section.faults]
    try:
        notes = directory.read_summary().get("notes", [])
    except PinnError as error:
        notes, faults = [], [*faults, str(error)]
    return Diagnosis(concluded(of_analyzers, records, notes), faults)


def concluded(
    of_analyzers: Sequence[Section], records: Records, notes: Sequence[str]
) -> list[tuple[str, Conclusion]]:
    """What calls for something, then what was noted in training, then what is well."""
    found = [(s.name, conclusion) for s in of_analyzers for conclusion in s.conclusions]
    found += [("unknown", conclusion) for conclusion in _of_unknowns(records)]
    noted = [(NOTE, Conclusion(f"{note[:1].upper()}{note[1:]}.")) for note in notes]
    return sorted(found + noted, key=lambda pair: (not pair[1].advice, pair[0] != NOTE))


def _of_unknowns(records: Records) -> Iterator[Conclusion]:
    """What each unknown of an inverse problem came to, and whether it still moves."""
    named = [n for n in records.names if n.startswith("unknown.") and not n.endswith(".error")]
    for name in named:
        steps, values = records.series(name)
        if len(values) < 2:
            continue
        first, last = float(values[0]), float(values[-1])
        late = values[steps >= LATE * steps[-1]]
        moved = float(np.ptp(late)) / max(abs(last), np.finfo(float).tiny)
        came = f"{name.removeprefix('unknown.')} came from {first:.3g} to {last:.5g}"
        if moved > STILL:
            share = f"by {100 * moved:.2g} % over the last quarter of the steps"
            yield Conclusion(f"{came}, and still moves, {share}.", "more steps")
        else:
            yield Conclusion(f"{came}, and stands still.")


def _paragraph(who: str, conclusion: Conclusion) -> str:
    lines = [conclusion.finding]
    if conclusion.advice:
        lines.append(f"  Try: {conclusion.advice}")
    lines.append(f"  ({', '.join(filter(None, (who, conclusion.source)))})")
    return "\n".join(lines)
