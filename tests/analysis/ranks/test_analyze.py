"""From files to a job, by the functions, the Python interface and the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tracekit
from tests.analysis.ranks.jobs import endless, make_job, server
from tests.test_cli import run
from tracekit.analysis.ranks import analyze
from tracekit.messages import UserError
from tracekit.report.json import render_json


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four ranks of a job of four, each a second of real work."""
    monkeypatch.setenv("TRACEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return make_job(tmp_path / "job", 4, share=0.02)


def test_processes_and_threads_say_the_same(job: Path) -> None:
    told: list[tuple[int, int]] = []
    result = tracekit.ranks(job, workers=2, cache=False, progress=lambda *of: told.append(of))
    assert [(row.rank, row.path) for row in result.data.ranks] == [
        (rank, str(job / f"rank{rank}.json.gz")) for rank in range(4)
    ]
    assert (result.data.world_size, result.data.missing_ranks, result.data.lost) == (4, (), ())
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with ThreadPoolExecutor(1) as executor:
        other = tracekit.ranks([job / "rank[0-1]*", job / "rank2*", job / "rank3*"], executor=executor)
    assert render_json(other.data) == render_json(result.data)


def test_what_was_read_before_starts_no_worker(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tracekit.ranks(job, workers=1)
    assert len(list((job.parent / "cache").iterdir())) == 4
    monkeypatch.setattr(analyze, "run", lambda *_arguments, **_settings: pytest.fail("a worker started"))
    assert render_json(tracekit.ranks(job).data) == render_json(first.data)


def test_lost_and_missing_ranks_are_named(job: Path) -> None:
    (job / "rank1.json.gz").write_bytes(b"")
    (job / "rank3.json.gz").unlink()
    result = tracekit.ranks("job").data
    assert [row.rank for row in result.ranks] == [0, 2]
    assert [(row.path, row.rank, str(row.reason)) for row in result.lost] == [
        ("job/rank1.json.gz", 1, "job/rank1.json.gz: is empty; capture the trace again")
    ]
    assert result.missing_ranks == (3,)
    assert "of 1 of the 4 ranks of the job there is no trace: 3" in map(str, result.notes)


def test_nothing_that_can_be_read(job: Path) -> None:
    for path in job.iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError) as caught:
        tracekit.ranks("job/*")
    assert str(caught.value) == (
        "none of the 4 traces can be read; of the first: job/rank0.json.gz: is empty; capture the trace again"
    )


def test_the_command_writes_a_report_directory(job: Path) -> None:
    (job / "rank2.json.gz").write_bytes(b"")
    done = run(["ranks", "job", "--workers", "1", "-o", "out", "--lang", "en"], job.parent)
    assert done.returncode == 0
    assert done.stdout.startswith("3 of 4 ranks of a job\n")
    assert done.stdout.endswith("\nReport: out\n")
    assert done.stderr == ("tracekit: left out: job/rank2.json.gz: is empty; capture the trace again\n")
    document = json.loads((job.parent / "out" / "job.json").read_text())
    assert [row["rank"] for row in document["ranks"]] == [0, 1, 3]
    done = run(["ranks", "job", "-q"], job.parent)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (job.parent / "ranks-report" / "job.json").read_bytes() == (
        job.parent / "out" / "job.json"
    ).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing/*"], "nothing/*: no trace is found there"),
        (["job", "--format", "json,pdf"], "format 'pdf' is not known"),
        (["job", "--workers", "0"], "--workers"),
        (["job/rank0.json.gz", "copy.json.gz"], "are both of rank 0"),
        (["job", "--scheduler", "nowhere"], "nowhere: no Dask scheduler answers there"),
        ([], "PATHS"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_exit_2(job: Path, arguments: list[str], says: str) -> None:
    (job.parent / "copy.json.gz").write_bytes((job / "rank0.json.gz").read_bytes())
    done = run(["ranks", *arguments, "-o", "out", "--lang", "en"], job.parent)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert says in done.stderr
    assert not (job.parent / "out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interruption_leaves_no_report_and_no_process(job: Path) -> None:
    """A server that never sends a file makes of it a rank that takes forever."""
    command = [sys.executable, "-m", "tracekit", "ranks"]
    with endless() as address:
        (job.parent / "scratch").mkdir()
        program = subprocess.Popen(
            [*command, "job", f"{address}/rank9.json", "--workers", "2", "-o", "out", "--lang", "en"],
            env={**os.environ, "TMPDIR": str(job.parent / "scratch")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while not (cache := job.parent / "cache").exists() or len(list(cache.iterdir())) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(program.pid, signal.SIGINT)
        output, errors = program.communicate(timeout=30)
        assert (program.returncode, output) == (130, "")
        assert errors == "tracekit: interrupted; nothing is left half-written\n"
        assert not (job.parent / "out").exists()
        assert not list((job.parent / "scratch").iterdir())
        assert is_left_alone(program.pid)


def is_left_alone(group: int) -> bool:
    """Whether soon nobody is left in a group of processes."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_job_on_a_server(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (job.parent / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(job.parent / "scratch"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    local = tracekit.ranks(job, cache=False)
    with server(job) as address:
        remote = tracekit.ranks(f"{address}/*.json.gz", workers=2)
        monkeypatch.setattr(analyze, "run", lambda *_arguments, **_settings: pytest.fail("a worker started"))
        again = tracekit.ranks(f"{address}/*.json.gz")
    assert [row.path for row in remote.data.ranks] == [f"{address}/rank{rank}.json.gz" for rank in range(4)]
    assert remote.ranks.drop(columns="path").equals(local.ranks.drop(columns="path"))
    assert render_json(again.data) == render_json(remote.data)
    assert not list((job.parent / "scratch").iterdir())
