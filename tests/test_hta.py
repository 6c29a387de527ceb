"""HTA's analyses on what tracekit hands to it, against those on what HTA's own parser makes of the files."""

from __future__ import annotations

import gzip
import json
import logging
import lzma
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import tracekit
from tests.builder import TraceBuilder
from tracekit.analysis import analyze
from tracekit.cli import main
from tracekit.messages import UserError
from tracekit.report.json import render_json

pd = pytest.importorskip("pandas")
pytest.importorskip("hta.trace_analysis")

from hta.common.trace import Trace as HtaTrace  # noqa: E402
from hta.trace_analysis import TimeSeriesTypes, TraceAnalysis  # noqa: E402

CORPUS = os.environ.get("TRACEKIT_CORPUS")
NAMES = sorted(path.name.removesuffix(".json.gz") for path in Path(CORPUS or "/nowhere").glob("*.json.gz"))
pytestmark = pytest.mark.filterwarnings("ignore")  # HTA's own
on_corpus = pytest.mark.skipif(not CORPUS, reason="TRACEKIT_CORPUS names no folder of real traces")
every_trace = pytest.mark.parametrize("name", NAMES or ["none"])

Table = Any  # a frame, or the error that HTA ended with


def corpus(name: str) -> Path:
    return Path(CORPUS or "") / f"{name}.json.gz"


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("hta"), "disabled", True)


# --- What is wrong with HTA 0.5, also with pandas 3, and files in which it is of no consequence. ---


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
    names = {"Kernel": "kernel", "Runtime": "cuda_runtime"}
    events = [{"ph": "M", "name": "process_name", "pid": 0, "args": {"name": "python"}}]
    for event in trace["traceEvents"]:
        if event.get("cat") in ("cuda_sync", "gpu_user_annotation"):
            continue
        if event.get("cat") in ("cpu_op", "cuda_runtime", "cuda_driver"):
            event.get("args", {}).pop("stream", None)
        events.append({**event, "cat": names.get(event.get("cat"), event.get("cat"))})
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


def rows(analysis: TraceAnalysis, rank: int) -> Table:
    """What every row of HTA's frame says that both have, but for the numbers of rows, and of names."""
    frame, names = analysis.t.get_trace(rank), analysis.t.symbol_table.get_sym_table()
    frame = frame.assign(cat=[names[one] for one in frame["cat"]], name=[names[one] for one in frame["name"]])
    partner = frame["index_correlation"]
    at = frame["ts"].groupby(level=0).first()
    frame["linked"] = [
        at.get(one, -1) - ts if one > 0 else one for one, ts in zip(partner, frame["ts"], strict=True)
    ]
    # HTA forgets stream 0.
    frame["iteration"] = frame["iteration"].where(frame["stream"] != 0, -1)
    of_ops = frame["cat"] == "cpu_op"
    for column in ("input_dims", "input_type"):  # ours are those of ops
        frame[column] = frame[column].map(str).where(of_ops, "-1")
    kept = frame["cat"].isin(CATEGORIES) & ~(
        (frame["cat"] == "python_function") & ~frame["name"].str.startswith("nn.Module: ")
    )
    frame = frame[kept].sort_values("cat", kind="stable").reset_index(drop=True)
    frame["ts"] -= frame["ts"].min()
    columns = ["cat", "name", "pid", "tid", "ts", "dur", "stream", "correlation", "linked", "iteration"]
    return frame[[*columns, "input_dims", "input_type"]].astype({"pid": object, "tid": object})


CATEGORIES = ["cpu_op", "user_annotation", "python_function"]
CATEGORIES += ["cuda_runtime", "cuda_driver", "kernel", "gpu_memcpy", "gpu_memset"]

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
    "rows": rows,
}


def table(analysis: TraceAnalysis, name: str, rank: int) -> Table:
    try:
        found = TABLES[name](analysis, rank)
    except Exception as error:
        return repr(error)
    if name == "series" and found is not None:  # its rows are numbered by file, and time begins elsewhere
        found = found.reset_index(drop=True).astype({"pid": float, "tid": float})
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


# HTA ends with an error whoever has read the trace: there are no GPU events in it, or kernels below a
# microsecond, which last −1 µs when HTA has rounded them.
HTA_FAILS = {"cpu_only_train": ["temporal", "idle", "critical path"], "h100_qwen1.5_0.5b": ["temporal"]}

_SPAN = ["idle_time(us)", "compute_time(us)", "non_compute_time(us)", "kernel_time(us)"]

# What HTA says of the files as they are, and then what is right: other tables than these are the same.
FAULTS: dict[str, dict[str, tuple[list[float], list[float]] | None]] = {
    # Synchronisation counts as work. Its edges, which ours lacks, belong to the critical path.
    "a100_alexnet_train": {
        "temporal": ([12929684, 10637, 55690, 12996011], [12854103, 10630, 55511, 12920244]),
        "kernels": None,
        "types": ([55511, 10637], [55511, 10630]),
        "critical path": None,
        "rows": None,
    },
    # An op of Triton's counts as a kernel.
    "a100_triton_kernel": {
        "temporal": ([0, 94, 0, 94], [0, 1, 0, 1]),
        "kernels": None,
        "types": ([94], [1]),
        "critical path": None,
        "rows": None,
    },
    "mi300x_torch_compile": {
        "temporal": ([27, 12574, 0, 12601], [11, 12537, 0, 12548]),
        "kernels": None,
        "types": ([12574], [12537]),
        "critical path": None,
        "rows": None,
    },
    # Kernels that were launched before the trace began count as launched by its first event: HTA takes their
    # gaps for waits for the host.
    "h100_qwen1.5_0.5b": {"idle": ([1543, 4145, 0], [1525, 4163, 0]), "rows": None},
    "mi300x_qwen1.5_0.5b": {"idle": ([3424, 1936, 177], [3417, 1943, 177]), "rows": None},
    # Two steps and some of the third, of which HTA says that it leaves it out.
    "mi300x_resnet_ddp_checkpoint_train": {
        "temporal": ([1541, 17018, 37958, 56517], [1012, 11314, 25636, 37962]),
        "overlap": ([22.45], [22.22]),
        "idle": ([5000, 32982, 116, 8906], [3319, 22301, 74, 5787]),
        "queue": None,
        "series": None,
        "kernels": None,
        "types": ([36399, 10596, 6464, 1342, 175], [24578, 7058, 4286, 911, 117]),
        "rows": None,
    },
    # A kernel is event 0, which is HTA's for no event; and no call of the runtime is one for the path.
    "old_kineto_2021": {"queue": None, "series": None, "critical path": None, "rows": None},
}
FIGURES = {"temporal": _SPAN, "idle": ["idle_time"], "overlap": ["comp_comm_overlap_pctg"], "types": ["sum"]}

# With pandas 3 HTA does not load these: the index of a launch does not fit a column made for correlations.
CANNOT_READ = ["mi300x_resnet_ddp_checkpoint_train", "mi300x_torch_compile"]
pandas_3 = pytest.mark.skipif(int(pd.__version__.partition(".")[0]) < 3, reason="older than pandas 3")


@cache
def tables_of_ours(name: str) -> dict[str, Table]:
    analysis = tracekit.hta.to_analysis({0: corpus(name)})
    return {one: table(analysis, one, 0) for one in TABLES}


@on_corpus
@every_trace
def test_tables_are_those_of_htas_own_parser(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_pandas(monkeypatch)
    source = corpus(name)
    if name in FAULTS:
        source = tmp_path / "copy.json"
        source.write_text(json.dumps(without_faults(json.loads(gzip.decompress(corpus(name).read_bytes())))))
    own = of_hta(source)
    tables = {one: (table(own, one, 0), tables_of_ours(name)[one]) for one in TABLES}
    assert [one for one, pair in tables.items() if not equal(*pair)] == []
    fails = [one for one, (found, _) in tables.items() if isinstance(found, str)]
    assert fails == HTA_FAILS.get(name, [])


@on_corpus
@pytest.mark.parametrize("name", FAULTS)
def test_where_htas_own_parser_is_wrong(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old_pandas(monkeypatch)
    own, ours = of_hta(corpus(name)), tables_of_ours(name)
    differing = {one: table(own, one, 0) for one in TABLES if not equal(table(own, one, 0), ours[one])}
    assert list(differing) == list(FAULTS[name])
    for one, figures in FAULTS[name].items():
        if figures is not None:
            columns = FIGURES[one]
            assert [
                differing[one][columns].to_numpy().ravel().tolist(),
                ours[one][columns].to_numpy().ravel().tolist(),
            ] == list(figures)


@on_corpus
@pandas_3
@pytest.mark.parametrize("name", CANNOT_READ)
def test_traces_that_hta_cannot_read(name: str) -> None:
    with pytest.raises(TypeError, match="Invalid value"):
        of_hta(corpus(name))
    ours = tracekit.hta.to_analysis({0: corpus(name)})
    assert not isinstance(table(ours, "temporal", 0), str)


def rank_in(name: str) -> int:
    info = json.loads(gzip.decompress(corpus(name).read_bytes())).get("distributedInfo", {})
    return int(info.get("rank", 0))


@on_corpus
@pandas_3
def test_pandas_3_takes_the_critical_path_from_hta() -> None:
    with pytest.raises(ValueError, match="Cannot specify both 'axis' and 'index'/'columns'"):
        critical_path(of_hta(corpus("h100_bert_small")), 0)


@on_corpus
def test_two_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    old_pandas(monkeypatch)
    paths = [corpus("sampled_rank0"), corpus("sampled_rank1")]
    own = TraceAnalysis.__new__(TraceAnalysis)
    own.t = HtaTrace({rank: str(path) for rank, path in enumerate(paths)}, "/")
    own.t.load_traces(use_multiprocessing=False)
    ours = tracekit.hta.to_analysis(dict(enumerate(paths)))
    assert [rank_in(path.name.removesuffix(".json.gz")) for path in paths] == ours.t.get_ranks() == [0, 1]
    assert tracekit.hta.to_trace(paths).get_ranks() == [0, 1]
    for rank in (0, 1):
        for one in TABLES:
            assert equal(table(own, one, rank), table(ours, one, rank)), (rank, one)
    # The clocks of both are one: the first event of all is at 0.
    assert own.t.min_ts == ours.t.min_ts
    assert min(frame["ts"].min() for frame in ours.t.traces.values()) == 0


# --- By hand. ---


def miniature() -> TraceBuilder:
    """Two streams; every gap of stream 7 has another cause."""
    builder = TraceBuilder().range("ProfilerStep#4", 0, 200).op("aten::mm", 1, 9, dims=[[2, 3]])
    for correlation, start in ((1, 1), (2, 5), (3, 50), (4, 51), (5, 52)):
        builder.launch(correlation, start)
    builder.kernel(1, 10, 20).kernel(2, 25, 35)  # 5 µs: between kernels
    builder.kernel(3, 60, 70)  # launched at 50, after 35: 25 µs for the host
    builder.kernel(4, 110, 120)  # launched long before, 40 µs later: other
    builder.kernel(5, 65, 75, name="ncclDevKernel_AllReduce_Sum", stream=20)
    return builder.kernel(99, 2, 4)  # launched before the trace began


RANK = {"rank": 0, "span_us": 118, "idle_us": 71, "compute_us": 42, "non_compute_us": 5, "overlap_share": 0.5}
IDLE = [
    (7, "host_wait", 25, 0.33),
    (7, "kernel_wait", 11, 0.14),  # and 6 µs behind the kernel from before
    (7, "other", 40, 0.53),
    (20, "other", 0, None),  # as HTA files what has nothing before it
]


def test_tables_of_a_report(tmp_path: Path) -> None:
    report = analyze(miniature().write(tmp_path / "trace.json"), hta=True)
    assert report.hta is not None
    assert report.hta.note is None
    (rank,) = report.hta.ranks
    assert {name: getattr(rank, name) for name in RANK} == RANK
    found = [(row.stream, row.cause, row.idle_us, row.idle_share) for row in report.hta.idle]
    assert found == IDLE


def test_the_section_of_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = miniature().write(tmp_path / "trace.json")
    assert main(["analyze", str(trace), "-o", str(tmp_path / "out"), "--format", "md,html,csv,json"]) == 0
    assert capsys.readouterr().err == ""
    text = (tmp_path / "out" / "report.md").read_text()
    section = text[text.index("## Holistic Trace Analysis") :]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "|" in line
    ]
    assert cells[2] == ["0", "0.042 (35.6%)", "0.0050 (4.2%)", "0.071 (60.2%)", "0.118", "50.0%"]
    assert cells[5:] == [["0", "7", "0.025", "0.011", "0.040"], ["0", "20", "0", "0", "0"]]
    assert "Holistic Trace Analysis" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / "hta_ranks.csv").read_text().splitlines() == [
        "rank,span_us,idle_us,compute_us,non_compute_us,overlap_share",
        "0,118.0,71.0,42.0,5.0,0.5",
    ]
    assert (tmp_path / "out" / "hta_idle.csv").read_text().splitlines()[1] == "0,7,host_wait,25.0,0.33"
    written = json.loads((tmp_path / "out" / "report.json").read_text())["hta"]
    assert written["note"] is None
    assert written["ranks"] == [RANK]


@pytest.mark.parametrize("formats", ["json", "csv,json", "png"])
def test_reports_for_programs_do_not_wait_for_hta(
    formats: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracekit.hta.to_trace", lambda *_, **__: pytest.fail("HTA was asked"))
    trace = miniature().write(tmp_path / "trace.json")
    assert main(["analyze", str(trace), "-o", str(tmp_path / "out"), "--format", formats, "-q"]) == 0
    assert not list((tmp_path / "out").glob("hta_*"))
    if "json" in formats:
        assert json.loads((tmp_path / "out" / "report.json").read_text())["hta"] is None
    assert tracekit.analyze(trace).data.hta is None


def test_where_hta_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = miniature().write(tmp_path / "trace.json")
    monkeypatch.setattr("tracekit.hta.is_installed", lambda: False)
    assert analyze(trace, hta=None) == analyze(trace)
    for ask in (lambda: analyze(trace, hta=True), lambda: tracekit.hta.to_trace(trace)):
        with pytest.raises(UserError, match=r"pip install 'tracekit\[hta\]'"):
            ask()


def test_a_trace_without_a_gpu_has_no_tables(tmp_path: Path) -> None:
    trace = TraceBuilder().op("aten::mm", 1, 9).write(tmp_path / "trace.json")
    assert analyze(trace, hta=True).hta is None


def test_an_error_of_hta_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hta.analyzers.breakdown_analysis import BreakdownAnalysis

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("<b>no</b> | such")

    monkeypatch.setattr(BreakdownAnalysis, "get_temporal_breakdown", fail)
    trace = miniature().write(tmp_path / "trace.json")
    report = analyze(trace, hta=None)
    assert report.hta is not None
    assert not report.hta.ranks
    assert b"failed on this trace (AssertionError: <b>no</b> | such)" in render_json(report)
    tracekit.Report(report).save(tmp_path / "out", ["md", "html", "csv", "xlsx"], "ru")
    assert "`AssertionError: <b>no</b> | such`" in (tmp_path / "out" / "report.md").read_text()
    assert "<b>no" not in (tmp_path / "out" / "report.html").read_text()
    assert not list((tmp_path / "out").glob("hta_*"))


def test_a_large_trace_is_left_out_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracekit.analysis.hta_tables.MOST_GPU_EVENTS", 5)
    trace = miniature().write(tmp_path / "trace.json")
    left_out, asked = analyze(trace, hta=None).hta, analyze(trace, hta=True).hta
    assert left_out is not None
    assert str(left_out.note).startswith("with 6 GPU events it would take long")
    assert asked is not None
    assert len(asked.ranks) == 1


def test_times_are_rounded_as_hta_does_or_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builder = TraceBuilder().launch(1, 5.5, 7.25).kernel(1, 10.2, 10.9).kernel(2, 11.001, 14.999)
    trace = builder.write(tmp_path / "trace.json")

    def times(**options: Any) -> list[list[float]]:
        return tracekit.hta.to_trace(trace, **options).get_trace(0)[["ts", "dur", "end"]].to_numpy().tolist()

    # Starts up, ends down; 0 is the first start.
    assert times() == [[0, 1, 1], [5, -1, 4], [6, 2, 8]]
    exact = [[0, 1.75, 1.75], [4.7, 0.7, 5.4], [5.501, 3.998, 9.499]]
    assert times(exact_times=True) == exact
    monkeypatch.setenv("HTA_DISABLE_NS_ROUNDING", "1")
    assert times() == exact
    assert tracekit.hta.to_trace(trace).min_ts == 5.5


def test_links_and_iterations(tmp_path: Path) -> None:
    builder = TraceBuilder().range("ProfilerStep#7", 0, 10)
    builder.launch(1, 5).kernel(1, 12, 13, stream=0).kernel(1, 14, 15, stream=0)  # a graph
    builder.launch(2, 20).launch(3, 20).kernel(4, 30, 31, stream=0)
    frame = tracekit.hta.to_trace(builder.write(tmp_path / "trace.json")).get_trace(0)
    names = ["cudaLaunchKernel", "cudaLaunchKernel", "cudaLaunchKernel", "kernel", "kernel", "kernel"]
    shown = frame[["index", "correlation", "index_correlation", "stream", "iteration"]]
    symbols = tracekit.hta.to_trace(tmp_path / "trace.json").symbol_table.get_sym_table()
    assert [symbols[one] for one in frame["name"]] == [*names, "ProfilerStep#7"]
    assert shown.to_numpy().tolist() == [
        [1, 1, 5, -1, 7],  # the last kernel of its launch
        [2, 2, 0, -1, -1],
        [3, 3, 0, -1, -1],
        [4, 1, 1, 0, 7],
        [5, 1, 1, 0, 7],
        [6, 4, 0, 0, -1],
        [7, -1, -1, -1, 7],
    ]


@pytest.mark.parametrize(("keep", "expected"), [(False, [1, 2]), (True, [1, 2, 3])])
def test_the_last_step(keep: bool, expected: list[int], tmp_path: Path) -> None:
    builder = TraceBuilder()
    for step in range(3):
        at = 100 * step
        builder.range(f"ProfilerStep#{step}", at, at + 90).launch(step + 1, at + 1).kernel(
            step + 1, at + 5, at + 9
        )
    builder.launch(2, 102)  # HTA would have the kernel of this correlation twice
    builder.launch(9, 295).kernel(9, 297, 299)  # behind the last step
    trace = tracekit.hta.to_trace(builder.write(tmp_path / "trace.json"), include_last_profiler_step=keep)
    frame = trace.get_trace(0)
    assert frame[frame["stream"] >= 0]["correlation"].tolist() == expected


def test_ids_and_inputs_of_other_kinds(tmp_path: Path) -> None:
    builder = TraceBuilder(pid="python", tid="main").op(
        "aten::mm", 0, 5, dims=[[2, 3], [3, 4]], types=["float"]
    )
    builder.op("aten::add", 6, 7).launch(1, 1)
    builder.event("kernel", "gemm", 8, 9, pid=0, tid="stream 13", args={"correlation": 1})
    frame = tracekit.hta.to_trace(builder.write(tmp_path / "trace.json")).get_trace(0)
    assert frame["stream"].tolist() == [-1, 13, -1, -1]
    assert frame[["pid", "tid"]].iloc[0].tolist() == ["python", "main"]
    assert frame["input_dims"].tolist() == ["-1", "-1", [[2, 3], [3, 4]], "-1"]
    assert frame["input_type"].tolist() == ["-1", "-1", ["float"], "-1"]


def test_ranks(tmp_path: Path) -> None:
    def write(name: str, rank: int | None) -> Path:
        builder = miniature()
        builder.metadata = {} if rank is None else {"distributedInfo": {"rank": rank, "world_size": 8}}
        return builder.write(tmp_path / name)

    third, none, again = write("a.json", 3), write("b.json", None), write("c.json", 3)
    assert tracekit.hta.to_trace(third).get_ranks() == [3]
    assert tracekit.hta.to_trace(none).get_ranks() == [0]
    assert tracekit.hta.to_trace([third, none]).get_ranks() == [1, 3]
    assert tracekit.hta.to_trace({5: third, 4: none}).get_ranks() == [4, 5]
    with pytest.raises(UserError, match=r"c\.json: is of rank 3, as is .*a\.json; give ranks"):
        tracekit.hta.to_trace([third, again])


@pytest.mark.parametrize("traces", [[], {}])
def test_no_trace_at_all(traces: Any) -> None:
    with pytest.raises(UserError, match="no trace was named"):
        tracekit.hta.to_analysis(traces)


def test_traces_that_are_packed_otherwise_or_cut_off(tmp_path: Path) -> None:
    data = json.dumps(miniature().document()).encode()
    cut, other = tmp_path / "cut.json", tmp_path / "trace.json.xz"
    cut.write_bytes(data[:-40])
    other.write_bytes(lzma.compress(data))
    for path, span in ((cut, 110), (other, 118)):  # cut before the kernel that was launched before the trace
        with pytest.raises(Exception, match=r"Unterminated string|validation failed"):
            of_hta(path)
        found = tracekit.hta.to_analysis(path).get_temporal_breakdown(visualize=False)
        assert found["kernel_time(us)"].tolist() == [span]


@on_corpus
@every_trace
def test_idle_time_is_that_of_our_own_reckoning(name: str) -> None:
    """Where HTA leaves nothing out, and there is one device: none has several."""
    report = analyze(corpus(name), hta=True)
    steps = {row.name for row in report.regions if row.name.startswith("ProfilerStep#")}
    if report.hta is None or len(steps) > 1:
        return
    (rank,) = report.hta.ranks
    assert rank.idle_us == pytest.approx(report.time.gpu_idle_us, abs=0.01)
    assert rank.span_us == pytest.approx(report.time.gpu_span_us, abs=0.01)
    assert rank.compute_us + rank.non_compute_us == pytest.approx(report.time.gpu_busy_us, abs=0.01)


def test_analyses_that_need_what_is_not_read(tmp_path: Path) -> None:
    analysis = tracekit.hta.to_analysis(miniature().write(tmp_path / "trace.json"))
    assert analysis.get_gpu_user_annotation_breakdown(visualize=False) is None
    assert analysis.get_gpu_kernels_with_user_annotations(0) is None
    with pytest.raises(KeyError, match="memory_bw_gbps"):
        analysis.get_memory_bw_summary()
    # These mark events of a copy of the file by their positions in it.
    for write in (
        lambda: analysis.generate_trace_with_counters(TimeSeriesTypes.QUEUE_LENGTH, ranks=[0]),
        lambda: analysis.get_frequent_cuda_kernel_sequences("aten::mm", str(tmp_path), visualize=False),
        lambda: analysis.overlay_critical_path_analysis(0, None, str(tmp_path)),
    ):
        with pytest.raises((ValueError, KeyError, TypeError)):
            write()
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json"]


def test_analyses_that_need_no_more(tmp_path: Path) -> None:
    analysis = tracekit.hta.to_analysis(miniature().write(tmp_path / "trace.json"))
    assert analysis.get_profiler_steps() == [4]
    launches = analysis.get_cuda_kernel_launch_stats(ranks=[0], visualize=False)[0]
    assert launches["correlation"].tolist() == [1, 2, 3, 4, 5]
    assert launches["launch_delay"].tolist() == [8, 19, 9, 58, 12]  # behind the end of the launch, 1 µs
    series = analysis.get_queue_length_time_series()
    assert series[0]["queue_length"].tolist() == [1, 2, 1, 0, 1, 2, 1, 0, 1, 0]
    blocked = analysis.get_time_spent_blocked_on_full_queue(series, max_queue_length=2)
    assert blocked["duration_at_max_queue_length"].tolist() == [5 + 9]  # 5–10, 51–60
    delays = analysis.get_aten_op_kernels_and_delay(ranks=[0])[0]
    assert delays["aten_op_name"].tolist() == ["aten::mm"]
