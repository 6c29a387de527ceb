"""A Dask cluster of processes on this machine, for tests and for `scripts/bench.py ranks`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 30


class Cluster:
    """A scheduler and its workers, each a process of its own with one thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.scheduler = self._start(
            "dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"
        )
        self.workers: list[subprocess.Popen[bytes]] = []

    def add_worker(self) -> None:
        """Without a nanny, which would start a killed one again."""
        command = (self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
        self.workers.append(
            self._start("dask_worker", *command, "--local-directory", str(self._folder / "dask"))
        )

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        root = str(Path(__file__).resolve().parents[3])
        with (self._folder / f"{module}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", *arguments],
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": root},
                stdout=log,
                stderr=log,
                start_new_session=True,  # which also gets its own share of a busy processor
            )

    def wait_for_workers(self) -> None:
        from distributed import Client

        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with Client(self.address, timeout=START_SECONDS, set_as_default=False) as client:
                    client.wait_for_workers(len(self.workers), timeout=START_SECONDS)
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.send_signal(signal.SIGKILL)
            process.wait()


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """Up and running, with so many workers; `folder` is where they log and keep their files."""
    running = Cluster(folder)
    try:
        for _ in range(workers):
            running.add_worker()
        running.wait_for_workers()
        yield running
    finally:
        running.stop()
