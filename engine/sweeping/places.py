"""Where jobs are done, here or on a cluster, and their outcomes as they come."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Protocol

from pinn.core.tracebacks import first_line
from pinn.engine.sweeping.jobs import Function, Job, Outcome

TRIES = 2
"""Deaths of the process that a run was at work in, after which it is not tried again."""
POLL = 0.2
"""Seconds between two looks at what is wanted and what is done."""


class Submitted(Protocol):
    """A job that is to be done."""

    def done(self) -> bool:
        """Whether it ended, however."""

    def result(self) -> Outcome:
        """What came of it; raises where its process or its machine died."""

    def cancel(self) -> None:
        """Ask it to end: what trains finishes its step, and is saved."""


class Place(Protocol):
    """Where jobs are submitted to, for the time of a `with` block."""

    @property
    def at_once(self) -> float:
        """How many jobs it is given before the first is done."""

    def submit(self, function: Function, job: Job) -> Submitted:
        """Have it done."""

    def wait(self, seconds: float) -> None:
        """So long at most; it may end where a job has ended."""

    def __enter__(self) -> Place: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None: ...


def each(
    place: Place, function: Function, jobs: list[Job], stop: Callable[[], bool]
) -> Generator[Outcome | None, None, None]:
    """The outcome of every job, as they come; None at every look at the clock between.

    A job whose process or machine dies, or that cannot be submitted, is tried once more, and goes on at
    its last checkpoint. Once `stop` says so, or this is closed, all that are at work are asked to end.
    """
    deaths: Counter[str] = Counter()
    waiting, at_work = deque(jobs), dict[str, tuple[Job, Submitted]]()
    asked = False

    def died(job: Job, error: Exception) -> Iterator[Outcome]:
        deaths[job.name] += 1
        if asked:
            yield Outcome(job.name, False)
        elif deaths[job.name] < TRIES:
            waiting.append(job)
        else:
            told = f"its process died {TRIES} times: {first_line(error)}"
            yield Outcome(job.name, False, told)

    try:
        while waiting or at_work:
            if not asked and stop():
                asked = True
                yield from [Outcome(job.name, False) for job in waiting]
                waiting.clear()
                for _, submitted in at_work.values():
                    submitted.cancel()
            while waiting and len(at_work) < place.at_once:
                job = waiting.popleft()
                try:
                    at_work[job.name] = job, place.submit(function, job)
                except Exception as error:
                    yield from died(job, error)
            for name, (job, submitted) in list(at_work.items()):
                try:
                    if submitted.done():
                        del at_work[name]
                        yield submitted.result()
                except Exception as error:
                    at_work.pop(name, None)
                    yield from died(job, error)
            if waiting and len(at_work) < place.at_once:
                continue
            yield None
            place.wait(POLL)
    finally:
        for _, submitted in at_work.values():
            submitted.cancel()
