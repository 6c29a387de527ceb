"""The collectives of one rank: what is recorded of each, when it ran, and who called it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from tracekit.analysis.names import holds_for_names
from tracekit.analysis.ranks.kinds import (
    dtype_of,
    is_communication_kernel,
    is_communication_op,
    kind_of,
    sizes_of,
)
from tracekit.analysis.ranks.step_windows import StepWindows
from tracekit.attribution import NOBODY, Attribution, Mask, innermost, nearest
from tracekit.trace import NO_ID, Ints, RecordedCollective, Trace
from tracekit.trace.tables import Table

UNKNOWN = -1
_KERNEL = 0  # in GPU_KINDS
_LARGEST_GROUP = 1 << 31  # that is believed


class Group(NamedTuple):
    """A process group, as far as a trace tells; two ranks mean the same one by the same values."""

    name: str | None
    description: str | None
    ranks: str | None  # "[0, 1, ...]"
    size: int | None


@dataclass(frozen=True)
class RankCollectives:
    """By start; times in ns. Sizes and sequence are `UNKNOWN` where the trace has none."""

    start: Ints
    end: Ints
    kind: Ints  # index into kinds
    group: Ints  # index into groups, `UNKNOWN`
    sequence: Ints
    dtype: Ints  # index into dtypes, `UNKNOWN`
    bytes_in: Ints
    bytes_out: Ints
    module: Ints  # that called it, `NOBODY`
    step: Ints  # the number of that in which the host called it, `UNKNOWN` outside steps
    kinds: Sequence[str]
    groups: Sequence[Group]
    dtypes: Sequence[str]

    def __len__(self) -> int:
        return len(self.start)

    def take(self, at: Ints | Mask) -> RankCollectives:
        columns: dict[str, Any] = {name: of[at] for name, of in vars(self).items() if hasattr(of, "dtype")}
        return replace(self, **columns)


def communicates(trace: Trace) -> Mask:
    """Per GPU event: the kernel of a collective, by its name or because the trace says so."""
    events, recorded = trace.gpu_events, trace.collectives
    own = holds_for_names(events.name, trace, is_communication_kernel)
    own &= events.kind == _KERNEL
    told = np.isin(events.correlation, recorded.correlation[recorded.correlation != NO_ID])
    rest = np.flatnonzero(told & ~own & (events.kind == _KERNEL))
    own[rest] = _rows_of_kernels(trace, rest) != NOBODY  # a graph's kernels share a correlation
    return own


def gpu_collectives(
    trace: Trace, attribution: Attribution, windows: StepWindows, event: Ints
) -> RankCollectives:
    """Of the GPU events `event`, which are kernels of collectives.

    What a kernel does not tell of itself, the op around its launch does, else the names around it.
    """
    events, recorded = trace.gpu_events, trace.collectives
    row = _rows_of_kernels(trace, event)
    row = np.where(row != NOBODY, row, _rows_of_ops(trace, attribution)[attribution.gpu_op[event]])
    op, region = attribution.gpu_op[event], attribution.gpu_region[event]
    call = nearest(
        holds_for_names(attribution.ops.name, trace, is_communication_op), attribution.op_nesting.parent
    )
    named = np.stack(
        (
            np.append(attribution.ops.name, NOBODY)[np.append(call, NOBODY)[op]],
            np.append(attribution.regions.name, NOBODY)[region],
            events.name[event],
        )
    )
    launch = attribution.gpu_launch[event]
    issued = np.where(launch != NOBODY, np.append(trace.launches.start, 0)[launch], events.start[event])
    scope = np.where(attribution.in_module, attribution.gpu_scope, attribution.gpu_backward_scope)[event]
    code = np.append(recorded.recorded, NOBODY)[row]
    return _collectives(
        trace, attribution, windows, code, named, events.start[event], events.end[event], issued, scope
    )


def cpu_collectives(trace: Trace, attribution: Attribution, windows: StepWindows) -> RankCollectives:
    """Of the ranges on the CPU that the collectives of gloo and its like are.

    They run on threads of their own, in the order in which they are called: the calls, which are ops, tell
    the module.
    """
    recorded, ops = trace.collectives, attribution.ops
    is_range = np.isin(recorded.name, np.unique(trace.annotations.name)) & (recorded.correlation == NO_ID)
    at = np.flatnonzero(is_range)
    at = at[np.argsort(recorded.start[at], kind="stable")]
    kind_of_name = Table()
    kinds = np.array([kind_of_name[kind_of(name)] for name in trace.names] or [0], np.int64)
    call = np.flatnonzero(holds_for_names(ops.name, trace, lambda name: name.startswith("c10d::")))
    call = call[np.argsort(ops.start[call], kind="stable")]
    op = np.full(len(at), NOBODY, np.int64)
    for kind in np.unique(kinds[recorded.name[at]]).tolist():
        mine = np.flatnonzero(kinds[recorded.name[at]] == kind)
        calls = call[kinds[ops.name[call]] == kind]
        if len(calls) == len(mine):
            op[mine] = calls
        elif len(calls):  # one of them was called before the trace began, or ends behind it
            last = np.searchsorted(ops.start[calls], recorded.start[at[mine]], side="right") - 1
            op[mine] = np.where(last != NOBODY, calls[last], NOBODY)
    scope_of_op = np.where(
        attribution.op_scope != NOBODY, attribution.op_scope, attribution.op_backward_scope
    )
    scope = np.append(scope_of_op, NOBODY)[op]
    start = recorded.start[at]
    issued = np.where(op != NOBODY, np.append(ops.start, 0)[op], start)
    named = recorded.name[at][None, :]
    return _collectives(
        trace, attribution, windows, recorded.recorded[at], named, start, recorded.end[at], issued, scope
    )


def _rows_of_kernels(trace: Trace, event: Ints) -> Ints:
    """For each of the GPU events the row of `trace.collectives` that is itself, else `NOBODY`."""
    recorded, events = trace.collectives, trace.gpu_events
    rows = np.flatnonzero(recorded.correlation != NO_ID)

    def keys(correlation: Ints, start: Ints, thread: Ints) -> list[tuple[int, int, int]]:
        return list(zip(correlation.tolist(), start.tolist(), thread.tolist(), strict=True))

    of_rows = keys(recorded.correlation[rows], recorded.start[rows], recorded.thread[rows])
    known = dict(zip(of_rows, rows.tolist(), strict=True))
    of_events = keys(events.correlation[event], events.start[event], events.thread[event])
    return np.array([known.get(key, NOBODY) for key in of_events], np.int64)


def _rows_of_ops(trace: Trace, attribution: Attribution) -> Ints:
    """For each op, and for "no op" behind them, the row of `trace.collectives` around it, else `NOBODY`."""
    recorded = trace.collectives
    rows = np.flatnonzero(recorded.correlation == NO_ID)
    nesting, count = attribution.op_nesting, len(attribution.ops)
    op = innermost(nesting, recorded.thread[rows], recorded.start[rows], recorded.end[rows])
    row_of_op = np.full(count + 1, NOBODY, np.int64)
    row_of_op[op[op != NOBODY]] = rows[op != NOBODY]
    around = nearest(row_of_op[:count] != NOBODY, nesting.parent)
    return np.asarray(np.append(row_of_op[around], NOBODY), np.int64)


def _collectives(
    trace: Trace,
    attribution: Attribution,
    windows: StepWindows,
    code: Ints,
    named: Ints,
    start: Ints,
    end: Ints,
    issued: Ints,
    scope: Ints,
) -> RankCollectives:
    """`code`: of each in trace.recorded; `named`: names that may say what it is, the best first.

    `issued`: when the host called it, and `scope`: where.
    """
    values = _Values(trace)
    distinct, which = np.unique(np.vstack((code, named)), axis=1, return_inverse=True)
    rows = [values.row(code, names) for code, *names in distinct.T.tolist()]
    columns = np.array(rows, np.int64).reshape(-1, 6)[which.reshape(-1)].T
    order = np.argsort(start, kind="stable")
    return RankCollectives(
        start=start,
        end=end,
        kind=columns[0],
        group=columns[1],
        sequence=columns[2],
        dtype=columns[3],
        bytes_in=columns[4],
        bytes_out=columns[5],
        module=np.append(attribution.tree.module, np.int32(NOBODY))[scope],
        step=np.append(windows.number, UNKNOWN)[windows.of(issued)],
        kinds=values.kinds.listed(),
        groups=values.groups.listed(),
        dtypes=values.dtypes.listed(),
    ).take(order)


class _Values:
    """The kinds, groups and types of the collectives of a trace, numbered."""

    def __init__(self, trace: Trace) -> None:
        self.kinds, self.groups, self.dtypes = Table(), Table(), Table()
        self._trace = trace
        info = trace.metadata.get("distributedInfo")
        rows = info.get("pg_config") if isinstance(info, dict) else None
        self._known = (
            [_known_group(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        )

    def row(self, code: int, names: Sequence[int]) -> tuple[int, int, int, int, int, int]:
        """Kind, group, sequence, type, bytes in and out of what is `code` in trace.recorded."""
        recorded = self._trace.recorded[code] if code != NOBODY else None
        args = recorded.args if recorded else None
        texts = [self._trace.names[name] for name in names if name != NOBODY]
        kind = self.kinds[kind_of(*([args.name] if args else []), *texts)]
        group, dtype = self._group(recorded), dtype_of(args)
        size_in, size_out = (UNKNOWN if size is None else size for size in sizes_of(args))
        return (
            kind,
            UNKNOWN if group is None else self.groups[group],
            UNKNOWN if recorded is None or recorded.sequence is None else recorded.sequence,
            UNKNOWN if dtype is None else self.dtypes[dtype],
            size_in,
            size_out,
        )

    def _group(self, recorded: RecordedCollective | None) -> Group | None:
        """None where it could be one of several; all None where the trace knows nothing of groups."""
        if recorded is not None and recorded.group_name is not None:
            size = recorded.args.group_size
            size = size if size is not None and 0 < size <= _LARGEST_GROUP else None
            return Group(recorded.group_name, recorded.group_description, recorded.group_ranks, size)
        if len(self._known) > 1:
            return None
        return self._known[0] if self._known else Group(None, None, None, None)


def _known_group(row: dict[str, Any]) -> Group:
    """A group as `distributedInfo` lists it."""
    name, description, ranks, size = (row.get(key) for key in ("pg_name", "pg_desc", "ranks", "pg_size"))
    return Group(
        name if isinstance(name, str) else None,
        description if isinstance(description, str) else None,
        f"[{', '.join(map(str, ranks))}]" if isinstance(ranks, list) else None,
        size if type(size) is int and 0 < size <= _LARGEST_GROUP else None,
    )
