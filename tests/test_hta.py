"""HTA's analyses on what tracekit hands to it, against those on what HTA's own parser makes of the files."""

from __future__ import annotations

import gzip
import json
import logging
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import tracekit
from tests.builder import TraceBuilder
from tracekit.analysis import analyze, hta_tables
from tracekit.cli import main
from tracekit.messages import UserError
from tracekit.report.json import render_json

pd = pytest.importorskip("pandas")
pytest.importorskip("hta.trace_analysis")

from hta.common.trace import Trace as HtaTrace  # noqa: E402
from hta.trace_analysis import TraceAnalysis  # noqa: E402

CORPUS = os.environ.get("TRACEKIT_CORPUS")
NAMES = sorted(path.name.removesuffix(".json.gz") for path in Path(CORPUS or "/nowhere").glob("*.json.gz"))
pytestmark = pytest.mark.filterwarnings("ignore")  # HTA's own
on_corpus = pytest.mark.skipif(not CORPUS, reason="TRACEKIT_CORPUS names no folder of real traces")
every_trace = pytest.mark.parametrize("name", NAMES or ["none"])

Table = Any  # a frame, or the error that HTA ended with


def corpus(name: str) -> Path:
    return Path(CORPUS or "") / f"{name}.json.gz"


@cache
def document(name: str) -> str:
    return gzip.decompress(corpus(name).read_bytes()).decode()


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("hta"), "disabled", True)


# --- What is wrong with HTA 0.5 (and pandas 3), and how a file is changed so that it is of no consequence. ---


def without_faults(trace: dict[str, Any]) -> dict[str, Any]:
    """A copy of the trace of which HTA's own parser makes what is in the trace.

    * It has event 0 for the launch of every GPU event that was launched before the trace began: "linked to
      nothing" is 0 too. An event of another kind goes first.
    * An op or a launch that names its stream is a GPU event to it: Triton's ops, calls of ROCm's runtime.
    * It counts synchronisation events as work of the GPU in its temporal and its kernel breakdown, though it
      leaves them out of idle time, and the name of one of them ("Stream Wait Event") as computing.
    * The annotation that the profiler writes on the GPU for a step has the step's name: the last step, which
      HTA leaves out, begins for it only where that one does, later than on the CPU.
    """
    events = [{"ph": "M", "name": "process_name", "pid": 0, "args": {"name": "python"}}]
    for event in trace["traceEvents"]:
        if event.get("cat") in ("cuda_sync", "gpu_user_annotation"):
            continue
        if event.get("cat") in ("cpu_op", "cuda_runtime", "cuda_driver"):
            event.get("args", {}).pop("stream", None)
        events.append(event)
    return {**trace, "traceEvents": events}


def old_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    """What pandas 3 refuses and HTA 0.5 relies on.

    Indices of more bits in a column that was made as small as its correlations (`mi300x_torch_compile` cannot
    be loaded for that), and `drop(axis=1, columns=…)`, without which it finds no critical path at all.
    """
    to_numeric, drop = pd.to_numeric, pd.DataFrame.drop
    monkeypatch.setattr(pd, "to_numeric", lambda column, **_: to_numeric(column))

    def lenient_drop(
        frame: Any, labels: Any = None, *, axis: int = 0, columns: Any = None, **more: Any
    ) -> Any:
        return (
            drop(frame, labels, axis=axis, **more)
            if columns is None
            else drop(frame, columns=columns, **more)
        )

    monkeypatch.setattr(pd.DataFrame, "drop", lenient_drop)


# --- All that HTA offers and that needs nothing that tracekit does not read. ---


def critical_path(analysis: TraceAnalysis, rank: int) -> Table:
    steps = any("ProfilerStep" in name for name in analysis.t.symbol_table.get_sym_table())
    found = analysis.critical_path_analysis(rank, "ProfilerStep" if steps else "", None)
    if found is None:
        return None
    graph, is_found = found
    summary = graph.summary().to_frame()
    summary["edges"] = len(graph.critical_path_edges_set)
    summary["us"] = sum(edge.weight for edge in graph.critical_path_edges_set)
    assert is_found
    return summary


TABLES: dict[str, Callable[[TraceAnalysis, int], Table]] = {
    "temporal": lambda one, rank: one.get_temporal_breakdown(visualize=False),
    "overlap": lambda one, rank: one.get_comm_comp_overlap(visualize=False),
    "idle": lambda one, rank: one.get_idle_time_breakdown(ranks=[rank], visualize=False)[0],
    "queue": lambda one, rank: one.get_queue_length_summary(ranks=[rank]),
    "series": lambda one, rank: one.get_queue_length_time_series(ranks=[rank]).get(rank),
    "kernels": lambda one, rank: one.get_gpu_kernel_breakdown(visualize=False)[1],
    "types": lambda one, rank: one.get_gpu_kernel_breakdown(visualize=False)[0],
    "launches": lambda one, rank: one.get_cuda_kernel_launch_stats(ranks=[rank], visualize=False)[rank],
    "critical path": critical_path,
}


def table(analysis: TraceAnalysis, name: str, rank: int) -> Table:
    try:
        found = TABLES[name](analysis, rank)
    except Exception as error:
        return repr(error)
    if name == "series" and found is not None:  # its rows are numbered by file, and time begins elsewhere
        found = found.reset_index(drop=True).astype({"pid": str, "tid": str})
        found["ts"] -= found["ts"].min()
    return found


def equal(one: Table, other: Table) -> bool:
    if isinstance(one, pd.DataFrame) and isinstance(other, pd.DataFrame):
        try:
            pd.testing.assert_frame_equal(one, other, check_dtype=False, check_index_type=False, rtol=1e-12)
        except AssertionError:
            return False
        return True
    return type(one) is type(other) and one == other


def of_hta(*paths: Path, ranks: list[int] | None = None) -> TraceAnalysis:
    return TraceAnalysis({rank: str(path) for rank, path in zip(ranks or [0], paths, strict=True)}, "/")


# What our reader makes out of the second but HTA's does not of the first, where HTA's pandas was an older one.
CANNOT_READ = ["mi300x_resnet_ddp_checkpoint_train", "mi300x_torch_compile"]
# HTA ends with an error whoever has read the trace: it has no GPU events, has kernels below a microsecond,
# which last −1 µs when HTA has rounded them, or no annotation and no op where a critical path begins.
HTA_FAILS = {
    "cpu_only_train": ["temporal", "idle", "critical path"],
    "h100_qwen1.5_0.5b": ["temporal"],
}


@on_corpus
@every_trace
def test_tables_are_those_of_htas_own_parser(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old_pandas(monkeypatch)
    copy = tmp_path / "copy.json"
    copy.write_text(json.dumps(without_faults(json.loads(document(name)))))
    own, ours = of_hta(copy), tracekit.hta.to_analysis({0: corpus(name)})
    capsys.readouterr()
    tables = {one: (table(own, one, 0), table(ours, one, 0)) for one in TABLES}
    assert [one for one, pair in tables.items() if not equal(*pair)] == []
    fails = [one for one, (found, _) in tables.items() if isinstance(found, str)]
    assert fails == HTA_FAILS.get(name, [])
