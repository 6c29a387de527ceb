"""Processes of this machine as workers: they end with the program that started them, and leave nothing."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tracekit.interruption import undisturbed
from tracekit.messages import N_, UserError


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A directory for the copies of all workers, which is removed also where one of them was killed."""
    with tempfile.TemporaryDirectory(prefix="tracekit-") as folder:
        yield Path(folder)


@contextmanager
def process_pool(count: int, scratch: Path) -> Iterator[ProcessPoolExecutor]:
    """`count` processes; on leaving with an exception they are killed, whatever they do."""
    pool = _Pool(count, multiprocessing.get_context("spawn"), _prepare, (scratch,))
    try:
        yield pool
    except BaseException:
        with undisturbed():
            for process in list((pool._processes or {}).values()):
                process.kill()
            pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


class _Pool(ProcessPoolExecutor):
    """Starts its processes without what the program is: a script need not be made to be imported."""

    def submit(self, *arguments: Any, **settings: Any) -> Future[Any]:
        try:
            with _uninterrupted(), _without_main():
                return super().submit(*arguments, **settings)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(N_("worker processes cannot be started ({reason})", reason=reason)) from None


@contextmanager
def _without_main() -> Iterator[None]:
    """`multiprocessing` has every process that it starts import what `__main__` is, and that run again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C reaches all processes of a terminal; those started within never hear of it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare(scratch: Path) -> None:
    """What a worker does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(scratch,), daemon=True).start()


def _end_with_parent(scratch: Path) -> None:
    """A worker waits for work forever, also from a program that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        shutil.rmtree(scratch, ignore_errors=True)
        os._exit(1)
