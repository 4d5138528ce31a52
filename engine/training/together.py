"""The processes of one run joined: those that torchrun began, or those of `[run] processes`."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

import torch
import torch.distributed as dist
from attrs import frozen
from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]

from pinn.core.errors import PinnError, TrainingError
from pinn.engine.training.processes import ALONE, Processes

HOST = "127.0.0.1"
A_MOMENT = 5.0
"""Seconds in which a process that ends or fails, by itself or since another one is gone, is gone."""

GONE = "one of the processes of this run is gone"
DIED = "died"
SAVED = "What was saved stays, and the run goes on from it"

Work = Callable[[Processes, Any], None]
"""What a process that is begun does, with what it is told; found by its name in its module."""


@contextmanager
def together(count: int, work: Work, told: Any) -> Iterator[Processes]:
    """The processes of the run, of which this one is one.

    Those that torchrun began, if it began this one. Otherwise, of more than one, this is the first, and
    the others are begun here, do their `work`, and end with the block.

    Raises:
        TrainingError: one of the others failed or died: which, and why, where they were begun here.
    """
    if dist.is_initialized():
        with _told_of_torchrun(dist.get_world_size()):
            yield Processes(dist.get_rank(), dist.get_world_size())
    elif "TORCHELASTIC_RUN_ID" in os.environ:
        rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        join = partial(_join, rank, world, int(os.environ["LOCAL_RANK"]))
        with _told_of_torchrun(world), _joined(join) as processes:
            yield processes
    elif count == 1:
        yield ALONE
    else:
        store = TCPStore(HOST, 0, count, is_master=True, wait_for_workers=False)
        others: list[_Other] = []
        try:
            for rank in range(1, count):
                others.append(_Other.begun(rank, count, store.port, work, told))
            for other in others:
                other.check_begun()
            join = partial(_while_alive, others, partial(_join, 0, count, 0, store))
            with _joined(join) as processes:
                yield processes
        except Exception as error:
            _tell_failed(others, error)
            raise
        finally:
            for other in others:
                other.process.join(A_MOMENT)  # it puts away what it had on disk
                other.process.terminate()


@contextmanager
def _joined(join: Callable[[], Processes]) -> Iterator[Processes]:
    processes = join()
    try:
        yield processes
    finally:
        dist.destroy_process_group()


def _join(rank: int, count: int, device: int, store: Store | None = None) -> Processes:
    """Wait for all, for half an hour at most."""
    backend = "gloo"
    if torch.cuda.is_available() and device < torch.cuda.device_count():
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(device)
    # The processes meet by a name with this number in it, which a join that failed leaves raised.
    dist.distributed_c10d._world.group_count = 0
    dist.init_process_group(backend, store=store, rank=rank, world_size=count)
    return Processes(rank, count)


def _while_alive(others: Sequence[_Other], join: Callable[[], Processes]) -> Processes:
    """What `join` returns or raises.

    Raises:
        TrainingError: one of the others has ended, for which it would wait.
    """
    joining: Future[Processes] = Future()
    Thread(target=_settle, args=(joining, join), daemon=True).start()
    ends = [other.process.sentinel for other in others]
    while not joining.done():
        if wait(ends, timeout=0.01):
            raise TrainingError(GONE)
    return joining.result()


def _settle(future: Future[Any], function: Callable[[], Any]) -> None:
    try:
        future.set_result(function())
    except Exception as error:
        future.set_exception(error)


@contextmanager
def _told_of_torchrun(count: int) -> Iterator[None]:
    """Where one process fails, the others do, by what they hear of it: that in one line."""
    try:
        yield
    except Exception as error:
        if _follows(error):
            raise TrainingError(
                f"another process of {count} is gone: torchrun, or what else began them, says which "
                f"one, and why. {SAVED}"
            ) from error
        raise


@frozen(eq=False)
class _Other:
    """A process that was begun here, and where it says why it failed."""

    rank: int
    process: BaseProcess
    said: Connection

    @classmethod
    def begun(cls, rank: int, count: int, port: int, work: Work, told: Any) -> _Other:
        spawn = multiprocessing.get_context("spawn")
        hears, says = spawn.Pipe(duplex=False)
        arguments = rank, count, port, says, work, told
        process = spawn.Process(target=_begin, args=arguments, daemon=True)
        process.start()
        says.close()
        return cls(rank, process, hears)

    def check_begun(self) -> None:
        """Wait until it is at work.

        Raises:
            PinnError: it ended before.
        """
        try:
            self.said.recv()
        except EOFError:
            died = self._end()
            if died and (self.process.exitcode or 0) < 0:
                raise TrainingError(f"process {self.rank} {died}, as it began") from None
            raise PinnError(
                f"[run] processes: process {self.rank} ended as it began. A script that trains on "
                'several does so under `if __name__ == "__main__":`, since each of them imports it'
            ) from None

    def failure(self) -> str | None:
        """Why it is gone, in a moment; None where it works, or is gone since another one is."""
        try:
            if self.said.poll(A_MOMENT):
                told: str | None = self.said.recv()
                return told
        except EOFError:
            return self._end()
        return None

    def _end(self) -> str | None:
        self.process.join(A_MOMENT)
        ended = self.process.exitcode
        if not ended:
            return None
        return f"{DIED}: {_name_of(-ended) if ended < 0 else f'exit status {ended}'}"


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _follows(error: Exception) -> bool:
    """Whether it is what a process hears of one that is gone."""
    exchanging = isinstance(error, dist.DistError)
    return exchanging or any(word in str(error) for word in (GONE, "_c10d", "gloo"))


def _tell_failed(others: Sequence[_Other], error: Exception) -> None:
    """Raise what one of the others failed by, where this one did not fail by its own.

    Of several, that one died: what the others say is what came of it.
    """
    if isinstance(error, PinnError) and not _follows(error):
        return
    said = [(other.rank, why) for other in others if (why := other.failure())]
    if said:
        rank, why = min(said, key=lambda of: not of[1].startswith(DIED))
        raise TrainingError(f"process {rank} of {len(others) + 1}: {why}. {SAVED}") from error


def _begin(rank: int, count: int, port: int, says: Connection, work: Work, told: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears it for all
    Thread(target=_end_with_parent, daemon=True).start()
    says.send(None)
    try:
        store = TCPStore(HOST, port, count, is_master=False)
        with _joined(partial(_join, rank, count, rank, store)) as processes:
            work(processes, told)
    except Exception as error:
        ours = isinstance(error, PinnError)
        why = str(error) if ours else f"{type(error).__name__}: {error}"
        says.send(None if _follows(error) else why)
        raise SystemExit(1) from None


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        time.sleep(A_MOMENT)
        os._exit(1)
