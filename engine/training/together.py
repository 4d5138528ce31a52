"""The processes of one run joined: those that torchrun began, or those of `[run] processes`."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
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

Work = Callable[[Processes, Any], None]
"""What a process that is begun does, with what it is told; found by its name in its module."""


@contextmanager
def together(count: int, work: Work, told: Any) -> Iterator[Processes]:
    """The processes of the run, of which this one is one.

    Those that torchrun began, if it began this one. Otherwise, of more than one, this is the first, and
    the others are begun here, do their `work`, and end with the block.

    Raises:
        TrainingError: one of the others failed or died: which, and why.
    """
    if dist.is_initialized():
        yield Processes(dist.get_rank(), dist.get_world_size())
    elif "TORCHELASTIC_RUN_ID" in os.environ:
        rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        with _joined(rank, world, int(os.environ["LOCAL_RANK"])) as processes:
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
            with _joined(0, count, 0, store) as processes:
                yield processes
        except Exception as error:
            _tell_failed(others, error)
            raise
        finally:
            for other in others:
                other.process.join(A_MOMENT)  # it puts away what it had on disk
                other.process.terminate()


@contextmanager
def _joined(rank: int, count: int, device: int, store: Store | None = None) -> Iterator[Processes]:
    backend = "gloo"
    if torch.cuda.is_available() and device < torch.cuda.device_count():
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(device)
    dist.init_process_group(backend, store=store, rank=rank, world_size=count)
    try:
        yield Processes(rank, count)
    finally:
        dist.destroy_process_group()


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
            self.process.join()
            raise PinnError(
                f"[run] processes: process {self.rank} ended as it began. A script that trains on "
                'several does so under `if __name__ == "__main__":`, since each of them imports it'
            ) from None

    def failure(self) -> str | None:
        """Why it is gone, in a moment; None where it works."""
        try:
            if self.said.poll(A_MOMENT):
                return str(self.said.recv())
        except EOFError:
            self.process.join(A_MOMENT)
            ended = self.process.exitcode
            if ended:
                return f"died: {_name_of(-ended) if ended < 0 else f'exit status {ended}'}"
        return None


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _tell_failed(others: Sequence[_Other], error: Exception) -> None:
    """Raise what one of the others failed by, unless this one failed by it, too, or by its own."""
    if isinstance(error, PinnError) and "_c10d" not in str(error) and "gloo" not in str(error):
        return
    for other in others:
        failure = other.failure()
        if failure is not None:
            raise TrainingError(
                f"process {other.rank} of {len(others) + 1}: {failure}. What was saved stays, and the "
                "run goes on from it"
            ) from error


def _begin(rank: int, count: int, port: int, says: Connection, work: Work, told: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears it for all
    Thread(target=_end_with_parent, daemon=True).start()
    says.send(None)
    try:
        store = TCPStore(HOST, port, count, is_master=False)
        with _joined(rank, count, rank, store) as processes:
            work(processes, told)
    except Exception as error:
        ours = isinstance(error, PinnError)
        says.send(str(error) if ours else f"{type(error).__name__}: {error}")
        raise SystemExit(1) from None


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        time.sleep(A_MOMENT)
        os._exit(1)
