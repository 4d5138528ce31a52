"""What every analyzer must keep."""

from __future__ import annotations

from pinn.core.parts import Analyzer
from pinn.testing.analyzers import figures, observation, records
from pinn.testing.declaration import DECLARATION
from pinn.testing.trial import perform


def check_analyzer(analyzer: type[Analyzer] | Analyzer) -> None:
    """Everything that the framework expects of an analyzer.

    Training is bit by bit the same with and without it; a run that is killed and continued records the
    same; what it records are numbers, arrays or words with names of their own; its figures can be drawn
    from no records, one row, a run, a run without it, and a run in which every number is null; options.
    What it needs is put before it, and must be installed.

    Args:
        analyzer: a class, which is checked with its default options, or an instance.

    Raises:
        AssertionError: what was found, and what to do.
    """
    perform("analyzer", analyzer, (*DECLARATION, *CHECKS))


CHECKS = (
    records.its_declarations_are_well_formed,
    records.what_it_measures_can_be_recorded,
    observation.it_changes_nothing_that_it_sees,
    observation.its_measurements_depend_on_the_view_alone,
    observation.its_memory_is_handed_back_and_forth,
    observation.training_is_the_same_without_it,
    observation.killed_and_continued_it_records_the_same,
    observation.it_works_in_every_precision_and_on_every_device,
    records.its_records_are_its_own_and_tell_something,
    figures.its_figures_can_be_drawn_from_any_records,
    figures.its_spans_follow_each_other,
)
