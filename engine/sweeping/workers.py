"""Processes of this machine that do jobs beside each other; one that dies costs nobody else anything."""

from __future__ import annotations

import multiprocessing
import signal
import time
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread

from attrs import define, field, frozen

from pinn.engine.sweeping.jobs import Function, Job, Outcome, asked_to_stop, use_threads

GUARD = '`if __name__ == "__main__":`, since each process imports it'


@frozen(eq=False)
class _Worker:
    """A process, and what is said to it and by it."""

    process: BaseProcess
    connection: Connection

    @classmethod
    def begun(cls, threads: int) -> _Worker:
        spawn = multiprocessing.get_context("spawn")
        here, there = spawn.Pipe()
        process = spawn.Process(target=_work, args=(there, threads))
        process.start()
        there.close()
        return cls(process, here)


@define(eq=False)
class Workers:
    """Processes for the time of a `with` block, of so many threads each; Ctrl-C is left to this one."""

    at_once: int
    threads: int
    _idle: list[_Worker] = field(factory=list, init=False)
    _at_work: list[_Worker] = field(factory=list, init=False)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        """End them; what trains finishes its step, and is saved."""
        workers = self._idle + self._at_work
        for worker in workers:
            worker.process.terminate()
            worker.connection.close()
        for worker in workers:
            worker.process.join()

    def submit(self, function: Function, job: Job) -> _Task:
        worker = self._idle.pop() if self._idle else _Worker.begun(self.threads)
        worker.connection.send((function, job))
        self._at_work.append(worker)
        return _Task(self, worker)

    def wait(self, seconds: float) -> None:
        if self._at_work:
            wait([worker.connection for worker in self._at_work], seconds)
        else:
            time.sleep(seconds)

    def ended(self, worker: _Worker) -> Outcome:
        """What came of the job of a worker, which is free for another one.

        Raises:
            ChildProcessError: the process is gone.
        """
        self._at_work.remove(worker)
        try:
            outcome: Outcome = worker.connection.recv()
        except (EOFError, OSError) as error:
            worker.connection.close()
            worker.process.join()
            raise ChildProcessError(_why_gone(worker.process)) from error
        self._idle.append(worker)
        return outcome


@frozen(eq=False)
class _Task:
    """What a worker is at."""

    workers: Workers
    worker: _Worker

    def done(self) -> bool:
        return self.worker.connection.poll()

    def result(self) -> Outcome:
        return self.workers.ended(self.worker)

    def cancel(self) -> None:
        self.worker.process.terminate()


def _why_gone(process: BaseProcess) -> str:
    code = process.exitcode or 0
    if code >= 0:
        return f"exit status {code}; a script that sweeps does so under {GUARD}"
    with suppress(ValueError):
        return f"{signal.Signals(-code).name}, which a system sends, too, that is out of memory"
    return f"signal {-code}"


def _work(connection: Connection, threads: int) -> None:
    """Do what one is told, until nobody is there to tell; SIGTERM ends no run before it is saved."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: asked_to_stop.append(number))
    Thread(target=_stop_with_parent, daemon=True).start()
    use_threads(threads)
    with suppress(EOFError, OSError):
        while True:
            function, job = connection.recv()
            connection.send(function(job))


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        asked_to_stop.append(signal.SIGTERM)
