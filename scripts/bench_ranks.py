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
        f"{run.what:24}{run.workers} workers{run.seconds:9.2f} s, {run.ranks / run.seconds:6.1f} ranks/s; "
        f"coordinator {run.coordinator_mib:.0f} MiB{''.join(f', {one}' for one in others)}",
        flush=True,
    )
    return run


def on_processes(what: str, job: Path, ranks: int, workers: int, cache: Path | None) -> Run:
    """On processes of this machine, with their start."""
    settings = {"workers": workers, "cache": cache is not None}
    with (
        _started(job, ranks, settings, cache) as coordinator,
        _watched(lambda: _children(coordinator.pid)) as peaks,
    ):
        seconds, mib = _result(coordinator)
    return Run(what, workers, ranks, seconds, mib, max(peaks.values(), default=None), None)


def on_cluster(job: Path, ranks: int, workers: int, folder: Path) -> Run:
    """On a Dask cluster that is there already."""
    from tests.analysis.ranks.clusters import cluster

    with cluster(folder, workers) as running:
        settings = {"scheduler": running.address, "cache": False}
        with (
            _started(job, ranks, settings, None) as coordinator,
            _watched(lambda: [running.scheduler.pid, *(worker.pid for worker in running.workers)]) as peaks,
        ):
            seconds, mib = _result(coordinator)
    scheduler = peaks.pop(running.scheduler.pid, None)
    return Run("Dask", workers, ranks, seconds, mib, max(peaks.values(), default=None), scheduler)


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


@contextmanager
def _watched(process_ids: Callable[[], list[int]]) -> Iterator[dict[int, float]]:
    """The peaks in MiB of the processes whose ids `process_ids()` says, as long as this lasts."""
    peaks: dict[int, float] = {}
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(WATCH_SECONDS):
            for process_id in process_ids():
                if (peak := _peak_mib(process_id)) is not None:
                    peaks[process_id] = peak

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        is_over.set()
        thread.join()


def _peak_mib(process_id: int) -> float | None:
    """What Linux notes of a process; None where it has ended."""
    try:
        lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    except OSError:
        return None
    peaks = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")]
    return peaks[0] if peaks else None
