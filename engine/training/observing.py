"""What an analyzer finds at a step; one that fails stops nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinn.core.blame import FAILURE, failure, failure_note
from pinn.core.errors import PinnError, out_of_memory
from pinn.core.parts import Analyzer
from pinn.core.records import Records
from pinn.core.view import View
from pinn.engine.training.progress import Reporter


def measured(
    analyzer: Analyzer, view: View, records: Records, reporter: Reporter
) -> Mapping[str, Any] | None:
    """Measure and record; None where the analyzer fails, which is then recorded, and told once.

    Raises:
        PinnError: the analyzer says what the user can mend.
        MemoryError, RuntimeError: memory ran out.
    """
    try:
        found = analyzer.measure(view)
        if not isinstance(found, Mapping):
            raise TypeError(f"measure returned {type(found).__name__}, not {{quantity: value}}")
        if found:
            records.add(view.step, found, analyzer.name)
    except Exception as error:
        if isinstance(error, PinnError) or out_of_memory(error):
            raise
        name, text = f"{analyzer.name}.{FAILURE}", failure(analyzer, error)
        if not any(row.get(name) == text for row in records.rows):
            reporter.note(failure_note(analyzer, text, view.step))
        records.add(view.step, {name: text}, analyzer.name)
        return None
    return found
