"""A real job of four processes on the CPU, of which one is slowed down on purpose in one module."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tracekit.analysis.ranks import Job, combine, decode, encode, summarise

WORLD, SLOW_RANK, SECONDS, STEPS = 4, 2, 0.25, 2
PROGRAM = Path(__file__).with_name("gloo_job.py")
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    pytest.importorskip("torch")
    from torch import distributed

    if not (distributed.is_available() and distributed.is_gloo_available()):
        pytest.skip("this torch has no gloo")
    folder = tmp_path_factory.mktemp("job")
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), str(WORLD), str(SLOW_RANK), str(SECONDS)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return combine(
        [decode(encode(summarise(folder / f"rank{rank}.json.gz"))) for rank in reversed(range(WORLD))]
    )


def test_every_rank_is_known_by_what_its_trace_says(job: Job) -> None:
    assert [one.rank for one in job.ranks] == [0, 1, 2, 3]
    assert (job.world_size, job.missing_ranks, job.step_source) == (WORLD, (), "steps")
    assert all(one.device_kind == "cpu" and one.steps == STEPS for one in job.ranks)
    for one in (*job.ranks, *job.steps):
        parts = one.compute_us + one.communication_exposed_us + one.copy_us + one.idle_us
        assert parts == pytest.approx(one.wall_us)


def test_the_all_reduces_of_the_gradients_are_matched(job: Job) -> None:
    gradients = [one for one in job.collectives if one.op == "allreduce" and one.matched]
    parameters = 3 * (32 * 64 + 64 + 64 * 32 + 32)
    assert {(one.dtype, one.bytes) for one in gradients} == {("float", 4 * parameters)}
    (row,) = gradients
    assert (row.count, row.matched, row.complete, row.ranks) == (STEPS, STEPS, STEPS, WORLD)


def test_the_slow_rank_is_found_with_the_module(job: Job) -> None:
    worst = job.stragglers[0]
    assert (worst.rank, worst.cause) == (SLOW_RANK, "module")
    assert worst.module is not None
    assert worst.module.endswith("1.second")
    # It sleeps in each step; whatever else the machine does, half of that is lost to the others.
    assert worst.delay_us > 0.5 * STEPS * SECONDS * 1e6
    late = {one.rank: one for one in job.late}
    assert late[SLOW_RANK].waited_us > 0.5 * (WORLD - 1) * STEPS * SECONDS * 1e6
    finding = next(one for one in job.findings if one.id == "ranks.straggler")
    assert finding.module == worst.module
    spread = next(row for row in job.modules if row.path == worst.module)
    assert (spread.own.max_rank, spread.ranks) == (SLOW_RANK, WORLD)
    assert spread.own.max_us > SECONDS * 1e6
