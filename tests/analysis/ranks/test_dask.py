"""A real cluster on loopback: a scheduler and two workers, one of which is killed half-way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import tracekit
from tests.analysis.ranks.clusters import Cluster, cluster
from tests.analysis.ranks.jobs import endless, make_job
from tests.analysis.ranks.works import named
from tracekit.analysis.ranks import execute
from tracekit.analysis.ranks.execute import run
from tracekit.analysis.ranks.sources import Source
from tracekit.messages import UserError
from tracekit.report.json import render_json

distributed = pytest.importorskip("distributed")


@pytest.fixture
def two_workers(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path, 2) as running:
        yield running


def test_a_worker_killed_half_way_loses_no_rank(two_workers: Cluster, tmp_path: Path) -> None:
    (notes := tmp_path / "notes").mkdir()
    names = [*(f"rank{number}" for number in range(40)), "damaged", "scratch"]
    victim = two_workers.workers[0]
    done = {}
    for outcome in run([Source(name, str(notes)) for name in names], named, scheduler=two_workers.address):
        assert outcome.source.name not in done
        done[outcome.source.name] = outcome.result or str(outcome.reason)
        if str(victim.pid) in {line for path in notes.iterdir() for line in path.read_text().split()}:
            victim.kill()
    assert victim.poll() == -signal.SIGKILL
    # Where Dask tidies up after a worker that was killed.
    assert Path(done.pop("scratch").decode()).is_relative_to(tmp_path / "dask")
    assert done == {
        **{name: name.upper().encode() for name in names[:-2]},
        "damaged": f"{notes / 'damaged'}: is empty",
    }
    pids = {int(line) for path in notes.iterdir() for line in path.read_text().split()}
    assert pids == {process.pid for process in two_workers.workers}
    assert os.getpid() not in pids


def test_who_kills_every_worker_is_named_and_then_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "WATCH_SECONDS", 0.2)
    monkeypatch.setattr(execute, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    (notes := tmp_path / "notes").mkdir()
    with cluster(tmp_path, 2) as running:
        for name, reason in (("deadly", execute.DIED), ("a", execute.NO_WORKER)):
            (outcome,) = run([Source(name, str(notes))], named, scheduler=running.address)
            assert (outcome.result, outcome.reason) == (None, reason)
        assert all(worker.wait(10) == 9 for worker in running.workers)


def test_no_scheduler_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "CONNECT_SECONDS", 0.5)
    with pytest.raises(UserError) as caught:
        list(run([Source("a", "/")], named, scheduler="tcp://127.0.0.1:1"))
    assert str(caught.value).startswith("tcp://127.0.0.1:1: no Dask scheduler answers there (")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["", "host", "tcp://", "http://host:80", "tcp://me:pw@host:1"])
def test_no_client_is_made_for_what_is_no_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(*_arguments: object, **_settings: object) -> None:
        raise AssertionError  # what is half made would print a traceback when it goes

    monkeypatch.setattr("distributed.Client", make)
    with pytest.raises(UserError, match=f"^{address}: no Dask scheduler answers there"):
        list(run([Source("a", "/")], named, scheduler=address))


def test_without_distributed_the_pip_command_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError) as caught:
        list(run([Source("a", "/")], named, scheduler="tcp://127.0.0.1:1"))
    assert str(caught.value) == "a scheduler needs distributed: pip install 'tracekit[dask]'"


def test_256_ranks_are_the_same_job_with_a_worker_killed_half_way(
    two_workers: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEKIT_CACHE", str(tmp_path / "cache"))
    folder = make_job(tmp_path / "job", 256, share=0.005)

    def kill_one(done: int, _count: int) -> None:
        if done == 100:
            two_workers.workers[0].kill()

    on_cluster = tracekit.ranks(folder, scheduler=two_workers.address, cache=False, progress=kill_one)
    assert two_workers.workers[0].wait(10) == -signal.SIGKILL
    assert [row.rank for row in on_cluster.data.ranks] == list(range(256))
    assert on_cluster.data.lost == ()
    on_processes = tracekit.ranks(folder, workers=2, cache=False)
    assert render_json(on_cluster.data) == render_json(on_processes.data)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interruption_cancels_what_is_pending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never sends a file makes of it a rank that takes forever."""
    monkeypatch.setenv("TRACEKIT_CACHE", str(tmp_path / "cache"))
    make_job(tmp_path / "job", 1, share=0.005)
    with cluster(tmp_path, 1) as running, endless() as address:
        # Read in this order, so that nobody gets to the third.
        traces = ["job", f"{address}/rank1.json", f"{address}/rank2.json"]
        command = ["ranks", *traces, "--scheduler", running.address, "-o", "out", "--lang", "en"]
        program = subprocess.Popen(
            [sys.executable, "-m", "tracekit", *command],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("cache/*.summary")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        program.terminate()
        assert program.communicate(timeout=30) == (
            "",
            "tracekit: interrupted; nothing is left half-written\n",
        )
        with distributed.Client(running.address, set_as_default=False) as client:
            assert len(client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.tasks)) <= 1
    assert program.returncode == 128 + signal.SIGTERM
    assert not (tmp_path / "out").exists()
