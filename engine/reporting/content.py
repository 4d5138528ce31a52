"""What each part of a run has to show: the material of reports and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import field, frozen

from pinn.core.blame import failures, fault
from pinn.core.contract import summary
from pinn.core.parts import Analyzer
from pinn.core.plots import Plot, Span
from pinn.core.records import Records
from pinn.engine.configuration.config import Config
from pinn.engine.configuration.watched import Watched


@frozen
class Chapter:
    """The figures of one analyzer.

    Attributes:
        about: the first line of its docstring.
        faults: what went wrong in it, one line each; the rest of the report goes on.
    """

    name: str
    about: str
    plots: Sequence[Plot] = ()
    spans: Sequence[Span] = ()
    faults: list[str] = field(factory=list)


def chapters(config: Config | Watched, records: Records) -> list[Chapter]:
    """One per analyzer of the run, in order."""
    return [_chapter(observer.analyzer, records) for observer in config.observers]


def _chapter(analyzer: Analyzer, records: Records) -> Chapter:
    faults = failures(analyzer.name, records)

    def asked(method: str) -> list[Any]:
        found = []
        try:
            for item in getattr(analyzer, method)(records):
                found.append(item)
        except Exception as error:  # whatever a plugin does, the others are shown
            faults.append(f"{method}(): {fault(error, analyzer)}")
        return found

    about = summary(type(analyzer))
    return Chapter(analyzer.name, about, asked("figures"), asked("spans"), faults)
