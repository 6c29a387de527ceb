"""Traces for Holistic Trace Analysis (HTA, the extra `hta`), made of our columns: nothing is parsed twice.

    analysis = tracekit.hta.to_analysis({0: "rank0.json.gz", 1: "rank1.json.gz"})
    analysis.get_temporal_breakdown(visualize=False)

What HTA's own parser makes of the same files is the same but for what follows; `tests/test_hta.py` holds
both against each other, trace by trace. It reads what tracekit reads: HTA takes `.json` and `.json.gz` that
are sound, and with pandas 3 none whose numbers of events do not fit the type of its correlations.

* Rows are ops, launches, GPU events, nn.Module frames and the user's ranges on the CPU. Not there are
  synchronisation events (`cuda_sync`), annotations on the GPU and other Python frames. Of HTA's analyses
  `get_gpu_user_annotation_breakdown` and `get_gpu_kernels_with_user_annotations` therefore find nothing,
  CUPTI counters neither, and the critical path has no edges for `cudaEventRecord` and the like, as in every
  trace that was taken without them. (With pandas 3, HTA 0.5 computes no critical path of any trace.)
* Shapes and types (`input_dims`, `input_type`) have ops only, and no annotations of collectives.
* The columns are those of HTA without `bytes`, `memory_bw_gbps`, `input_strides` and `external_id`, which
  are not decoded: an analysis that needs one, such as `get_memory_bw_summary`, raises a `KeyError` with the
  name.
* `index` counts from 1 and is no position in the file; zero time is the first event that was read. What HTA
  writes into a copy of the file by such positions is not offered: `generate_trace_with_counters`,
  `overlay_critical_path_analysis` and `get_frequent_cuda_kernel_sequences` raise an error.
* A `stream` have GPU events only. HTA also takes launches for GPU events where they name their stream (as
  on ROCm), the ops of Triton kernels too, and counts `cuda_sync` as work of the GPU in its temporal
  breakdown.
* `end` has the same zero as `ts`, which HTA forgets; events on stream 0 have an iteration too.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from tracekit.messages import N_, UserError
from tracekit.trace import NO_ID, Ints, Trace, read
from tracekit.trace.events import DECODE_ERRORS

if TYPE_CHECKING:
    import pandas as pd
    from hta.common.trace import Trace as HtaTrace
    from hta.trace_analysis import TraceAnalysis

Source: TypeAlias = "str | Path | Trace"

_UNKNOWN = "-1"  # HTA's for shapes and types
_GPU_CATEGORIES = ("kernel", "gpu_memcpy", "gpu_memset")  # as in `GPU_KINDS`
_FIRST_INDEX = 1  # 0 is HTA's for "linked to nothing in the trace"


def is_installed() -> bool:
    """Whether HTA can be imported; imports nothing."""
    return find_spec("hta") is not None


def require_hta() -> None:
    """Raises `UserError` where HTA is not installed."""
    if not is_installed():
        raise UserError(
            N_("Holistic Trace Analysis is not installed: pip install 'tracekit[hta]' brings it along")
        )


def to_analysis(
    traces: Source | Mapping[int, Source] | Sequence[Source],
    *,
    include_last_profiler_step: bool = False,
    exact_times: bool | None = None,
) -> TraceAnalysis:
    """HTA's `TraceAnalysis` of one trace or of the ranks of a job; takes what `to_trace` does."""
    trace = to_trace(traces, include_last_profiler_step=include_last_profiler_step, exact_times=exact_times)
    with quiet():
        from hta.trace_analysis import TraceAnalysis
    # Its constructor does nothing but parse.
    analysis = TraceAnalysis.__new__(TraceAnalysis)
    analysis.t = trace
    return analysis


def to_trace(
    traces: Source | Mapping[int, Source] | Sequence[Source],
    *,
    include_last_profiler_step: bool = False,
    exact_times: bool | None = None,
    gpu_only: bool = False,
) -> HtaTrace:
    """The `hta.common.trace.Trace` of files, or of traces that `tracekit.trace.read` has read.

    `traces` is one of them, a mapping from ranks to them, or several, each of the rank that its
    `distributedInfo` has, else of its position. Of traces with several `ProfilerStep` HTA leaves out the last
    one and what was launched outside of them; `include_last_profiler_step` keeps the last.

    Times are µs. HTA rounds starts up and ends down to whole ones, so that events below a microsecond may
    have a duration of −1; with `exact_times` they are floats to the nanosecond. By default HTA's environment
    variable `HTA_DISABLE_NS_ROUNDING=1` says so. `gpu_only` leaves out ops and frames, at which breakdowns of
    GPU time do not look.

    Raises `UserError` where HTA is not installed, no trace is given, a file cannot be read, or two have the
    same rank.
    """
    require_hta()
    by_rank = _by_rank(traces)
    if not by_rank:
        raise UserError(N_("no trace was named"))
    with quiet():
        from hta.common.trace import Trace as HtaTrace
        from hta.common.trace_symbol_table import TraceSymbolTable
        from hta.configs import env_options

        if exact_times is None:
            exact_times = bool(env_options.disable_ns_rounding())
        origin = min((_first_start(trace, exact_times) for trace in by_rank.values()), default=0)
        symbols: TraceSymbolTable = TraceSymbolTable()
        # Without files: it would mark events in copies of them by their positions, which are not known.
        result = HtaTrace(trace_files={}, trace_dir=os.getcwd())
        for rank, trace in sorted(by_rank.items()):
            result.meta_data[rank] = trace.metadata
            result.traces[rank] = _frame(trace, symbols, origin, exact_times, gpu_only)
        result.symbol_table = symbols
        result.min_ts = origin / 1000 if exact_times else origin // 1000
        steps = [code for text, code in symbols.get_sym_id_map().items() if "ProfilerStep" in text]
        for rank, frame in result.traces.items():
            if len(steps) > 1:
                frame = _of_steps(frame, steps, include_last_profiler_step)
            result.traces[rank] = frame.set_index("index", drop=False).rename_axis(None)
        result.is_parsed = True
    return result


@contextmanager
def quiet() -> Iterator[None]:
    """HTA's log and the warnings that it causes are not shown."""
    logger = logging.getLogger("hta")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = was_disabled


def _by_rank(traces: Source | Mapping[int, Source] | Sequence[Source]) -> dict[int, Trace]:
    if isinstance(traces, Mapping):
        return {rank: _read(one) for rank, one in traces.items()}
    if isinstance(traces, str | Path | Trace):
        traces = [traces]
    by_rank: dict[int, Trace] = {}
    for position, trace in enumerate(map(_read, traces)):
        rank = rank_of(trace, position)
        if rank in by_rank:
            raise UserError(
                N_(
                    "{path}: is of rank {rank}, as is {other}; give ranks and files as a mapping",
                    path=str(trace.path),
                    rank=rank,
                    other=str(by_rank[rank].path),
                )
            )
        by_rank[rank] = trace
    return by_rank


def _read(source: Source) -> Trace:
    return source if isinstance(source, Trace) else read(source)


def rank_of(trace: Trace, default: int = 0) -> int:
    """The rank in the trace's own `distributedInfo`, `default` where it has none."""
    info = trace.metadata.get("distributedInfo")
    rank = info.get("rank") if isinstance(info, dict) else None
    return rank if type(rank) is int else default


def _first_start(trace: Trace, exact: bool) -> int:
    """ns"""
    tables = (trace.ops, trace.launches, trace.gpu_events, trace.frames, trace.annotations)
    first = min((int(table.start.min()) for table in tables if len(table)), default=0)
    return first if exact else -(-first // 1000) * 1000


def _frame(trace: Trace, symbols: Any, origin: int, exact: bool, gpu_only: bool) -> pd.DataFrame:
    """HTA's columns, kind by kind in the order of the file; `origin` (ns) becomes time 0."""
    import pandas as pd

    launches, gpu_events = trace.launches, trace.gpu_events
    kinds = [launches, gpu_events, trace.annotations, *(() if gpu_only else (trace.ops, trace.frames))]
    name, thread, start, end = (
        np.concatenate([getattr(kind, column) for kind in kinds])
        for column in ("name", "thread", "start", "end")
    )
    behind = len(name) - len(launches) - len(gpu_events)  # rows of the kinds that have no correlation
    ts, dur = _times(start - origin, end - origin, exact)
    stream = np.full(len(name), NO_ID, np.int64)
    stream[len(launches) : len(name) - behind] = _streams(trace)[gpu_events.thread]
    linked = _padded(_links(launches.correlation, gpu_events.correlation), behind)
    shapes, dtypes = _inputs(trace, len(name), len(launches) + len(gpu_events) + len(trace.annotations))
    frame: pd.DataFrame = pd.DataFrame(
        {
            "index": np.arange(len(name)) + _FIRST_INDEX,
            "cat": _categories(trace, symbols, gpu_only),
            "name": _codes(symbols, trace.names)[name],
            "pid": _ids([pid for pid, _ in trace.threads])[thread],
            "tid": _ids([tid for _, tid in trace.threads])[thread],
            "ts": ts,
            "dur": dur,
            "end": ts + dur,
            "stream": stream,
            "correlation": _padded(np.concatenate([launches.correlation, gpu_events.correlation]), behind),
            "wait_on_stream": NO_ID,
            "wait_on_cuda_event_record_corr_id": NO_ID,
            "input_dims": shapes,
            "input_type": dtypes,
            "index_correlation": linked,
            "iteration": _iterations(trace.names, name, ts, dur, linked, stream),
        }
    )
    return frame


def _of_steps(frame: pd.DataFrame, steps: Sequence[int], include_last: bool) -> pd.DataFrame:
    """The rows on the CPU up to the last step, or to its end, behind the GPU events that they launched.

    So does HTA, but that of a GPU event it makes as many as there are calls with its correlation.
    """
    import pandas as pd

    on_gpu = (frame["stream"] >= 0) & (frame["correlation"] >= 0)
    of_steps = frame[~on_gpu & frame["name"].isin(steps)]
    in_time = frame["ts"] <= of_steps["end"].max() if include_last else frame["ts"] < of_steps["ts"].max()
    on_cpu = frame[~on_gpu & in_time]
    kept: pd.DataFrame = pd.concat([frame[on_gpu & frame["correlation"].isin(on_cpu["correlation"])], on_cpu])
    return kept


def _times(start: Ints, end: Ints, exact: bool) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """`ts` and `dur` in µs."""
    if exact:
        return start / 1000, (end - start) / 1000
    first = -(-start // 1000)
    return first, end // 1000 - first


def _codes(symbols: Any, texts: Sequence[str]) -> Ints:
    symbols.add_symbols(texts)
    known = symbols.get_sym_id_map()
    return np.array([known[text] for text in texts], np.int64)


def _categories(trace: Trace, symbols: Any, gpu_only: bool) -> Ints:
    """The column `cat`: as today's profilers write them, whatever this one wrote."""
    is_driver = np.array(
        [one.startswith("cu") and not one.startswith("cuda") for one in trace.names], np.bool_
    )
    runtime = np.where(is_driver[trace.launches.name], 1, 0)
    columns: list[tuple[tuple[str, ...], Ints]] = [
        (("cuda_runtime", "cuda_driver"), runtime),
        (_GPU_CATEGORIES, trace.gpu_events.kind),
        (("user_annotation",), np.zeros(len(trace.annotations), np.int64)),
    ]
    if not gpu_only:
        columns.append((("cpu_op",), np.zeros(len(trace.ops), np.int64)))
        columns.append((("python_function",), np.zeros(len(trace.frames), np.int64)))
    coded = []
    for texts, column in columns:
        # HTA asks whether a category is in its table, so that only those that occur may be.
        present = np.unique(column)
        code = np.full(len(texts), NO_ID, np.int64)
        code[present] = _codes(symbols, [texts[one] for one in present])
        coded.append(code[column])
    return np.concatenate(coded)


def _ids(values: Sequence[Any]) -> npt.NDArray[Any]:
    """Processes or threads: int64 where all are such numbers."""
    if all(type(value) is int and -(2**63) <= value < 2**63 for value in values):
        return np.array(values, np.int64)
    ids = np.empty(len(values), object)
    ids[:] = values
    return ids


def _streams(trace: Trace) -> Ints:
    """For each thread the number that is its stream, if it is one: `7` and `"stream 7"` are 7."""

    def number(position: int, tid: Any) -> int:
        if isinstance(tid, str) and (digits := re.search(r"[0-9]{1,18}$", tid)):
            return int(digits[0])
        return tid if type(tid) is int and 0 <= tid < 2**63 else position

    return np.array([number(position, tid) for position, (_, tid) in enumerate(trace.threads)], np.int64)


def _links(launches: Ints, gpu_events: Ints) -> Ints:
    """`index_correlation` of launches and GPU events, by their correlations.

    It is the last row on the other side with the same correlation, as HTA has it; 0 where there is none and
    −1 for what has no correlation.
    """

    def partner(own: Ints, other: Ints, first_row: int) -> Ints:
        linked = np.minimum(own, 0)
        if len(other):
            order = np.argsort(other, kind="stable")
            last = order[np.searchsorted(other[order], own, side="right") - 1]
            has = (other[last] == own) & (own >= 0)
            linked[has] = last[has] + first_row + _FIRST_INDEX
        return linked

    return np.concatenate([partner(launches, gpu_events, len(launches)), partner(gpu_events, launches, 0)])


def _padded(column: Ints, count: int) -> Ints:
    """`column` and what `count` more rows have that are linked to nothing."""
    return np.concatenate([column, np.full(count, NO_ID, np.int64)])


def _inputs(trace: Trace, length: int, first_op: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The columns `input_dims` and `input_type`; ops of the same signature share their lists."""
    columns = []
    for field in ("shapes", "dtypes"):
        values = np.empty(len(trace.signatures), object)
        for at, signature in enumerate(trace.signatures):
            values[at] = _decoded(getattr(signature, field))
        column = np.full(length, _UNKNOWN, object)
        if length > first_op:
            column[first_op : first_op + len(trace.ops)] = values[trace.ops.signature]
        columns.append(column)
    return columns[0], columns[1]


def _decoded(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text) if text else _UNKNOWN
    except DECODE_ERRORS:
        return _UNKNOWN


def _iterations(
    names: Sequence[str],
    name: Ints,
    ts: npt.NDArray[Any],
    dur: npt.NDArray[Any],
    linked: Ints,
    stream: Ints,
) -> Ints:
    """The number of the `ProfilerStep#…` in which a row starts, or of its launch; −1 outside of all."""
    number = np.array([_step(text) for text in names], np.int64)[name]
    steps = np.flatnonzero(number != NO_ID)
    steps = steps[np.argsort(ts[steps], kind="stable")]
    iteration = np.full(len(name), NO_ID, np.int64)
    if len(steps):
        step = steps[np.searchsorted(ts[steps], ts, side="right") - 1]
        inside = (ts >= ts[step]) & (ts < ts[step] + dur[step]) & (stream == NO_ID)
        iteration[inside] = number[step[inside]]
        of_gpu = (stream != NO_ID) & (linked > 0)
        iteration[of_gpu] = iteration[linked[of_gpu] - _FIRST_INDEX]
    return iteration


def _step(name: str) -> int:
    found = re.match(r"ProfilerStep\s*#\s*([0-9]{1,18})", name)
    return int(found[1]) if found else NO_ID
