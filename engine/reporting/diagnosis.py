"""What a person should conclude from a run: what its analyzers say, those with advice first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from pinn.core.plots import Conclusion
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.configuration.unbuilt import Unbuilt
from pinn.engine.reporting.content import Section, sections


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
                "Nothing to conclude: no analyzer of the run has measured enough to say something."
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
    return Diagnosis(concluded(of_analyzers), faults)


def concluded(of_analyzers: Sequence[Section]) -> list[tuple[str, Conclusion]]:
    found = [(s.name, conclusion) for s in of_analyzers for conclusion in s.conclusions]
    return sorted(found, key=lambda pair: not pair[1].advice)


def _paragraph(who: str, conclusion: Conclusion) -> str:
    lines = [conclusion.finding]
    if conclusion.advice:
        lines.append(f"  Try: {conclusion.advice}")
    lines.append(f"  ({', '.join(filter(None, (who, conclusion.source)))})")
    return "\n".join(lines)
