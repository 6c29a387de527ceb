"""Mean and spread over passes of what every row of the tables takes, and which kernels the rows launched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tracekit.analysis.captured import Captured
from tracekit.analysis.per_pass import PerPass, over_cells
from tracekit.analysis.phases import Phases
from tracekit.analysis.schema import KernelUse, Pass, PassStatistics
from tracekit.attribution import (
    NOBODY,
    Attribution,
    Floats,
    Mask,
    join,
    nest,
    numbered,
    own_time,
    pair_keys,
    sum_by,
    take,
)
from tracekit.trace import Ints, Trace

OUTSIDE_MODULES, LAUNCHED_BEFORE_TRACE = 0, 1  # rows of the table "outside"
BEFORE_TRACE, BEFORE_FIRST_PASS, OUTLIERS = 0, 1, 2  # rows of "left_out"


class Rows(NamedTuple):
    """Where things stand in the tables of the report."""

    of_module: Ints
    of_op: Ints
    of_gpu_event: Ints  # in the table of kernels
    modules: int
    ops: int
    kernels: int


class _Column(NamedTuple):
    table: str
    quantity: str
    values: PerPass


def pass_statistics(
    trace: Trace,
    attribution: Attribution,
    phases: Phases,
    captured: Captured,
    passes: Sequence[Pass],
    rows: Rows,
) -> tuple[PassStatistics, ...]:
    """All of them, phase by phase; times of the CPU also of ops where there are no GPU events."""
    number = _pass_of_gpu_events(trace, attribution)
    columns = [*_gpu_columns(trace, attribution, rows, number), *_cpu_columns(trace, attribution, rows)]
    if not passes:
        of_pass: Mask = np.ones(1, np.bool_)
        return tuple(_statistics(None, column, of_pass) for column in columns)
    columns += _of_rows(passes)
    regular = np.array([not one.outlier for one in passes], np.bool_)
    used = np.zeros(len(passes), np.bool_)
    found: list[PassStatistics] = []
    for phase, name in [*enumerate(phases.names), (NOBODY, None)]:
        own = np.equal(phases.of_pass, phase)
        if not own.any():
            continue
        compared = own & regular if (own & regular).any() else own
        used |= compared
        found += [_statistics(name, column, compared) for column in columns]
        latencies = _latencies(captured, phases, name)
        if latencies:
            found.append(_statistics(name, latencies, np.ones(latencies.values.passes, np.bool_)))
    left_out = _left_out(trace, attribution, passes, used, number)
    return (*found, left_out) if left_out else tuple(found)


def module_kernels(trace: Trace, module: Ints, rows: Rows) -> KernelUse:
    """`module`: of each GPU event, `NOBODY` where there is none."""
    row = np.append(rows.of_module, np.int32(NOBODY))[module]
    return _kernel_use(trace, row, rows)


def op_kernels(trace: Trace, attribution: Attribution, rows: Rows) -> KernelUse:
    row = np.append(rows.of_op, np.int32(NOBODY))[attribution.gpu_op]
    return _kernel_use(trace, row, rows)


def _kernel_use(trace: Trace, row: Ints, rows: Rows) -> KernelUse:
    at = row != NOBODY
    cells, cell = numbered(pair_keys(row[at], rows.of_gpu_event[at], max(1, rows.kernels)))
    of_row, kernel = np.divmod(cells, max(1, rows.kernels))
    duration = (trace.gpu_events.end - trace.gpu_events.start)[at]
    return KernelUse(
        row=tuple(of_row.tolist()),
        kernel=tuple(kernel.tolist()),
        calls=tuple(np.bincount(cell, minlength=len(cells)).tolist()),
        gpu_time_us=tuple((sum_by(cell, duration, len(cells)) / 1000).tolist()),
    )


def _gpu_columns(trace: Trace, attribution: Attribution, rows: Rows, number: Ints) -> Iterator[_Column]:
    """`number`: the pass of each GPU event."""
    events = trace.gpu_events
    if not len(events):
        return
    count = max(1, len(attribution.passes))
    duration = events.end - events.start
    module = np.append(rows.of_module[attribution.tree.module], np.int32(NOBODY))

    def cells(row: Ints, count_of_rows: int) -> PerPass:
        return over_cells(row, number, count_of_rows, count)(duration)

    yield _Column("modules", "gpu_self", cells(module[attribution.gpu_scope], rows.modules))
    if attribution.in_backward.any():
        backward = module[attribution.gpu_backward_scope]
        yield _Column("modules", "gpu_backward_self", cells(backward, rows.modules))
    outside = np.where(attribution.launched_before_trace, LAUNCHED_BEFORE_TRACE, OUTSIDE_MODULES)
    outside[attribution.in_module | attribution.in_backward] = NOBODY
    yield _Column("outside", "gpu_self", cells(outside, 2))
    op = np.append(rows.of_op, np.int32(NOBODY))[attribution.gpu_op]
    yield _Column("ops", "gpu_self", cells(op, rows.ops))
    yield _Column("kernels", "gpu_self", cells(rows.of_gpu_event, rows.kernels))
    yield _Column("passes", "gpu_time", _in_one_row(number, count, duration))


def _pass_of_gpu_events(trace: Trace, attribution: Attribution) -> Ints:
    launched = np.append(trace.launches.start, 0)[attribution.gpu_launch]
    number = _causing_pass(attribution, attribution.gpu_scope, attribution.gpu_backward_scope, launched)
    if len(attribution.passes):
        number[attribution.launched_before_trace] = NOBODY
    return number


def _left_out(
    trace: Trace, attribution: Attribution, passes: Sequence[Pass], compared: Mask, number: Ints
) -> PassStatistics | None:
    """The GPU time that is in no pass that is `compared`; None where that is all of it."""
    duration = trace.gpu_events.end - trace.gpu_events.start
    before = attribution.launched_before_trace
    in_others = ~np.append(compared, True)[number]
    time = [int(duration[of].sum()) for of in (before, ~before & (number == NOBODY), in_others)]
    if not passes or not any(time):
        return None
    rows = [row for row, ns in enumerate(time) if ns]
    us = tuple(time[row] / 1000 for row in rows)
    return PassStatistics(None, "left_out", "gpu_time", 1, tuple(rows), us, us, None)


def _cpu_columns(trace: Trace, attribution: Attribution, rows: Rows) -> Iterator[_Column]:
    """Of modules; without GPU events also of what runs outside of their scopes, and of ops."""
    tree, scopes = attribution.tree, attribution.tree.scopes
    count = max(1, len(attribution.passes))
    everyone, nobody = np.arange(len(scopes)), np.full(len(scopes), NOBODY)
    in_scopes = _causing_pass(attribution, everyone, nobody, scopes.start)
    scope_time = own_time(tree.nesting)
    row = rows.of_module[tree.module]
    yield _Column("modules", "cpu_self", over_cells(row, in_scopes, rows.modules, count)(scope_time))
    if len(trace.gpu_events):
        yield _Column("passes", "cpu_time", _in_one_row(in_scopes, count, scope_time))
        return
    ops, scope = attribution.ops, attribution.op_scope
    backward = np.where(scope == NOBODY, attribution.op_backward_scope, NOBODY)
    number = _causing_pass(attribution, scope, backward, ops.start)
    op_time = own_time(attribution.op_nesting)
    yield _Column("ops", "cpu_self", over_cells(rows.of_op, number, rows.ops, count)(op_time))
    # Scopes may lie in ops of a backward that calls a checkpoint again: their time is no op's own.
    top, free = np.flatnonzero(tree.nesting.parent == NOBODY), np.flatnonzero(scope == NOBODY)
    time = own_time(nest(join(take(ops, free), take(scopes, top))))[: len(free)]
    number, backward = number[free], backward[free]
    if (backward != NOBODY).any():
        module = np.append(row, np.int32(NOBODY))[backward]
        yield _Column("modules", "cpu_backward_self", over_cells(module, number, rows.modules, count)(time))
    outside = np.where(backward == NOBODY, OUTSIDE_MODULES, NOBODY)
    yield _Column("outside", "cpu_self", over_cells(outside, number, 2, count)(time))
    everything = np.concatenate((in_scopes, number)), count, np.concatenate((scope_time, time))
    yield _Column("passes", "cpu_time", _in_one_row(*everything))


def _in_one_row(number: Ints, count: int, values: Ints) -> PerPass:
    return over_cells(np.zeros(len(number), np.int32), number, 1, count)(values)


def _causing_pass(attribution: Attribution, scope: Ints, backward: Ints, moment: Ints) -> Ints:
    """The pass of what runs at each moment, in a scope or in the backward of one: `PassStatistics` says how.

    Where there is one pass, or none, all is one.
    """
    passes = attribution.passes.scopes
    if len(passes) < 2:
        return np.zeros(len(moment), np.int32)
    own, inherited = (
        np.append(column, np.int32(NOBODY))
        for column in (attribution.scope_pass, attribution.scope_backward_pass)
    )
    number = own[scope]
    for better in (inherited[scope], inherited[backward]):
        number = np.where(number == NOBODY, better, number)
    latest = np.searchsorted(passes.start, moment, side="right") - 1
    return np.where(number == NOBODY, latest, number)


def _of_rows(passes: Sequence[Pass]) -> list[_Column]:
    """What the rows of passes themselves say."""

    def column(quantity: str, us: list[float]) -> _Column:
        return _Column("passes", quantity, _one_row(np.array(us) * 1000))

    return [
        column("wall", [one.wall_us for one in passes]),
        column("gpu_idle", [one.gpu_idle_us for one in passes]),
    ]


def _latencies(captured: Captured, phases: Phases, name: str | None) -> _Column | None:
    stored = {phase.name: phase.latencies_us for phase in captured.phases}
    latencies = stored.get(name) if name is not None else None
    latencies = latencies or (captured.latencies_us if len(phases.names) < 2 else ())
    return _Column("passes", "latency", _one_row(np.array(latencies) * 1000)) if latencies else None


def _one_row(values: Floats) -> PerPass:
    count = len(values)
    return PerPass(1, count, np.zeros(count, np.int32), np.arange(count, dtype=np.int32), values)


def _statistics(phase: str | None, column: _Column, compared: Mask) -> PassStatistics:
    some = column.values.of_passes(compared)
    count = some.passes
    mean = some.totals() / count
    listed = np.flatnonzero(some.counts())
    spread: tuple[float, ...] | None = None
    if count > 1:
        squares = sum_by(some.row, (some.values - mean[some.row]) ** 2, some.rows)
        squares += (count - some.counts()) * mean**2  # in all other passes it is 0
        spread = tuple((np.sqrt(squares / (count - 1))[listed] / 1000).tolist())
    return PassStatistics(
        phase=phase,
        table=column.table,
        quantity=column.quantity,
        passes=count,
        row=tuple(listed.tolist()),
        mean_us=tuple((mean[listed] / 1000).tolist()),
        median_us=tuple((np.array(some.medians(), np.float64)[listed] / 1000).tolist()),
        std_us=spread,
    )
