"""`bench.py ranks`: all ranks of a job read, on processes and on Dask clusters of this machine.

The job is a sample repeated: every copy has a rank of its own and begins a little later, so that no two files
are alike. Everything that reads is a process of its own, whose peak memory is asked of the system.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WATCH_SECONDS = 0.05

# Prints seconds of the whole, and the peak memory of this process alone in MiB.
_COORDINATOR = """
import json, resource, sys, time
import tracekit
if __name__ == "__main__":
    settings = json.loads(sys.argv[2])
    started = time.perf_counter()
    job = tracekit.ranks(sys.argv[1], **settings)
    seconds = time.perf_counter() - started
    assert len(job.data.ranks) == int(sys.argv[3]), job
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@dataclass(frozen=True)
class Run:
    """Seconds of one run, and the peaks in MiB: of workers that of the largest, None where there is none."""

    what: str
    workers: int
    ranks: int
    seconds: float
    cpu_seconds: float  # of all workers, from the first look at them on
    coordinator_mib: float
    worker_mib: float | None
    scheduler_mib: float | None


def bench_ranks(sample: Path, ranks: int, rounds: int) -> list[Run]:
    """Measure and print: processes and clusters of one and two workers without a cache, then with it."""
    print(f"{ranks} ranks of {sample.name}, {rounds} rounds, {os.cpu_count()} cores")
    from tests.analysis.ranks.jobs import make_job

    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(Path(folder, "job"), ranks, sample)
        size = sum(path.stat().st_size for path in job.iterdir())
        print(f"{size / 1e6:.1f} MB compressed")
        for number in range(rounds):
            cache = Path(folder, f"cache{number}")
            for workers in (1, 2):
                runs.append(told(on_processes("processes", job, ranks, workers, None)))
                runs.append(told(on_cluster(job, ranks, workers, Path(folder))))
            runs.append(told(on_processes("processes, first run", job, ranks, 2, cache)))
            runs.append(told(on_processes("processes, cached", job, ranks, 2, cache)))
    return runs


def told(run: Run) -> Run:
    others = [
        f"{name} {mib:.0f} MiB"
        for name, mib in (("worker", run.worker_mib), ("scheduler", run.scheduler_mib))
        if mib is not None
    ]
    print(
        f"{run.what:24}{run.workers} workers{run.seconds:8.2f} s {run.ranks / run.seconds:6.1f} ranks/s "
        f"{run.cpu_seconds:6.1f} s of processor; "
        f"coordinator {run.coordinator_mib:.0f} MiB{''.join(f', {one}' for one in others)}",
        flush=True,
    )
    return run


def on_processes(what: str, job: Path, ranks: int, workers: int, cache: Path | None) -> Run:
    """On processes of this machine, with their start."""
    settings = {"workers": workers, "cache": cache is not None}
    with (
        _started(job, ranks, settings, cache) as coordinator,
        Watch(lambda: _children(coordinator.pid)) as watch,
    ):
        seconds, mib = _result(coordinator)
    return Run(what, workers, ranks, seconds, watch.cpu_seconds(), mib, watch.largest_mib(), None)


def on_cluster(job: Path, ranks: int, workers: int, folder: Path) -> Run:
    """On a Dask cluster that is there already."""
    from tests.analysis.ranks.clusters import cluster

    with cluster(folder, workers) as running:
        settings = {"scheduler": running.address, "cache": False}
        with (
            _started(job, ranks, settings, None) as coordinator,
            Watch(lambda: [worker.pid for worker in running.workers]) as watch,
            Watch(lambda: [running.scheduler.pid]) as scheduler,
        ):
            seconds, mib = _result(coordinator)
    cpu_seconds = watch.cpu_seconds()
    return Run(
        "Dask", workers, ranks, seconds, cpu_seconds, mib, watch.largest_mib(), scheduler.largest_mib()
    )


@contextmanager
def _started(
    job: Path, ranks: int, settings: dict[str, object], cache: Path | None
) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if cache is not None:
        environment["TRACEKIT_CACHE"] = str(cache)
    command = [sys.executable, "-c", _COORDINATOR, str(job), json.dumps(settings), str(ranks)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        yield process


def _result(process: subprocess.Popen[str]) -> tuple[float, float]:
    output = process.communicate()[0]
    if process.returncode:
        sys.exit(f"bench.py ranks: a run ended with {process.returncode}")
    seconds, mib = map(float, output.split())
    return seconds, mib


def _children(process_id: int) -> list[int]:
    import psutil

    try:
        children = psutil.Process(process_id).children()
        return [child.pid for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


class Watch:
    """Looks at processes as long as this lasts; `process_ids()` says at which."""

    def __init__(self, process_ids: Callable[[], list[int]]) -> None:
        self._process_ids = process_ids
        self._peaks: dict[int, float] = {}
        self._cpu: dict[int, list[float]] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def largest_mib(self) -> float | None:
        return max(self._peaks.values(), default=None)

    def cpu_seconds(self) -> float:
        return sum(seen[-1] - seen[0] for seen in self._cpu.values())

    def _watch(self) -> None:
        import psutil

        while not self._is_over.wait(WATCH_SECONDS):
            for process_id in self._process_ids():
                try:
                    times = psutil.Process(process_id).cpu_times()
                    self._peaks[process_id] = _peak_mib(process_id)
                    self._cpu.setdefault(process_id, []).append(times.user + times.system)
                except (psutil.Error, OSError, ValueError):
                    continue  # it has ended


def _peak_mib(process_id: int) -> float:
    """What Linux notes of a process; raises `ValueError` of one that is ending."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    (peak,) = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")]
    return peak
