"""Sums over the scopes of each module: GPU and CPU time, FLOPs, per call and per pass, as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracekit.analysis.op_costs import OpCosts
from tracekit.analysis.per_pass import PerPass, over_cells
from tracekit.attribution import (
    NOBODY,
    Attribution,
    Floats,
    Mask,
    is_within_same,
    own_time,
    sum_inside,
    sum_upwards,
)
from tracekit.trace import Ints, Trace


@dataclass(frozen=True)
class ModuleTotals:
    """Per module, in the order of `ModuleTree.modules`. Times in ns.

    "With children" counts a GPU event once for a module that is called within itself. Children are what
    runs inside the module's scopes, on their thread. Backward is what differentiates that, wherever it runs;
    it is in no other column.
    """

    calls: Ints
    gpu_self_time: Ints
    gpu_time: Ints  # with children
    gpu_events: Ints  # with children
    cpu_time: Ints
    cpu_self_time: Ints
    matrix: Ints  # with children
    launched_matrix: Ints  # the part of it whose ops launched GPU events
    gpu_backward_self_time: Ints
    gpu_backward_time: Ints  # with children, as are the next two
    gpu_backward_events: Ints
    backward_matrix: Ints
    counts_backward: bool  # whether the matrix FLOPs of a backward are known
    slowest_call: Ints
    median_call: Floats
    gpu_time_per_pass: PerPass  # a row per module, as are the next ones
    gpu_self_time_per_pass: PerPass
    cpu_time_per_pass: PerPass
    cpu_self_time_per_pass: PerPass
    matrix_per_pass: PerPass
    gpu_backward_time_per_pass: PerPass  # the pass of the forward that it differentiates
    gpu_backward_self_time_per_pass: PerPass
    launched_matrix_per_pass: PerPass
    scope_gpu_self_time: Ints  # per scope
    scope_gpu_time: Ints  # per scope, with children, as are the next ones
    scope_gpu_events: Ints
    scope_matrix: Ints
    scope_gpu_backward_time: Ints
    scope_gpu_backward_events: Ints
    scope_backward_matrix: Ints


@dataclass(frozen=True)
class LabelTotals:
    """Per label, with children; times in ns."""

    gpu_time: Ints
    gpu_events: Ints
    cpu_time: Ints
    matrix: Ints
    gpu_backward_time: Ints
    gpu_backward_events: Ints
    backward_matrix: Ints


def total_by_module(
    trace: Trace, attribution: Attribution, costs: OpCosts, counted: Ints | None = None
) -> ModuleTotals:
    """The totals; matrix FLOPs are those of the ops, or `counted`, which has them by scope, with children."""
    tree, scopes = attribution.tree, attribution.tree.scopes
    nesting, module = tree.nesting, tree.module
    count, scope_count = len(tree.modules), len(scopes)
    events = trace.gpu_events
    duration = events.end - events.start
    inside = attribution.in_module

    def by_scope(where: Ints, weights: Ints) -> Ints:
        if not weights.any():
            return np.zeros(scope_count, np.int64)  # takes no memory before it is written to
        return np.bincount(where, weights, scope_count).astype(np.int64)

    def with_children(values: Ints) -> Ints:
        return sum_inside(values, nesting)

    gpu_self = by_scope(attribution.gpu_scope[inside], duration[inside])
    gpu = with_children(gpu_self)
    gpu_events = with_children(by_scope(attribution.gpu_scope[inside], np.ones(int(inside.sum()), np.int64)))
    op_scope = attribution.op_scope[costs.op]
    at_scope = op_scope != NOBODY
    matrix = with_children(by_scope(op_scope[at_scope], costs.matrix[at_scope]))
    launched = at_scope & costs.launched
    launched_matrix = with_children(by_scope(op_scope[launched], costs.matrix[launched]))
    backward = attribution.in_backward
    of_scope = attribution.gpu_backward_scope[backward]
    backward_parent = attribution.scope_backward_parent

    def with_backward_children(values: Ints) -> Ints:
        return sum_upwards(values, backward_parent, attribution.scope_backward_depth)

    gpu_backward_self = by_scope(of_scope, duration[backward])
    gpu_backward = with_backward_children(gpu_backward_self)
    gpu_backward_events = with_backward_children(by_scope(of_scope, np.ones(len(of_scope), np.int64)))
    differentiated = attribution.op_backward_scope[costs.op]
    differentiates = differentiated != NOBODY
    backward_matrix = with_backward_children(
        by_scope(differentiated[differentiates], costs.matrix[differentiates])
    )
    if counted is not None:
        matrix, launched_matrix = counted, np.where(gpu_events > 0, counted, 0)
    cpu = scopes.end - scopes.start
    cpu_self = own_time(nesting)
    top = ~is_within_same(module, nesting.parent)
    backward_top = ~is_within_same(module, backward_parent)

    def by_module(values: Ints, where: Mask = top) -> Ints:
        return np.bincount(module[where], values[where], count).astype(np.int64)

    everywhere = np.ones(scope_count, np.bool_)
    own_pass, backward_pass = attribution.scope_pass, attribution.scope_backward_pass
    passes = len(attribution.passes)
    by_pass = over_cells(np.where(top, module, NOBODY), own_pass, count, passes)
    self_by_pass = over_cells(module, own_pass, count, passes)
    backward_by_pass = over_cells(np.where(backward_top, module, NOBODY), backward_pass, count, passes)
    backward_self_by_pass = over_cells(module, backward_pass, count, passes)
    calls, slowest, median = calls_of(module, cpu, count, ~top)
    return ModuleTotals(
        calls=calls,
        gpu_self_time=by_module(gpu_self, everywhere),
        gpu_time=by_module(gpu),
        gpu_events=by_module(gpu_events),
        cpu_time=by_module(cpu),
        cpu_self_time=by_module(cpu_self, everywhere),
        matrix=by_module(matrix),
        launched_matrix=by_module(launched_matrix),
        gpu_backward_self_time=by_module(gpu_backward_self, everywhere),
        gpu_backward_time=by_module(gpu_backward, backward_top),
        gpu_backward_events=by_module(gpu_backward_events, backward_top),
        backward_matrix=by_module(backward_matrix, backward_top),
        slowest_call=slowest,
        median_call=median,
        gpu_time_per_pass=by_pass(gpu),
        gpu_self_time_per_pass=self_by_pass(gpu_self),
        cpu_time_per_pass=by_pass(cpu),
        cpu_self_time_per_pass=self_by_pass(cpu_self),
        matrix_per_pass=by_pass(matrix),
        gpu_backward_time_per_pass=backward_by_pass(gpu_backward),
        gpu_backward_self_time_per_pass=backward_self_by_pass(gpu_backward_self),
        launched_matrix_per_pass=by_pass(launched_matrix),
        scope_gpu_self_time=gpu_self,
        scope_gpu_time=gpu,
        scope_gpu_events=gpu_events,
        scope_matrix=matrix,
        scope_gpu_backward_time=gpu_backward,
        scope_gpu_backward_events=gpu_backward_events,
        scope_backward_matrix=backward_matrix,
        counts_backward=counted is None and costs.has_shapes and attribution.has_backward,
    )


def total_by_label(totals: ModuleTotals, attribution: Attribution, label: Ints, labels: int) -> LabelTotals:
    """Sums with children per label of modules (their type, say), nothing counted twice within one."""
    tree = attribution.tree
    scope_label = label[tree.module]
    top = ~is_within_same(scope_label, tree.nesting.parent)
    backward_top = ~is_within_same(scope_label, attribution.scope_backward_parent)

    def by_label(values: Ints, where: Mask = top) -> Ints:
        return np.bincount(scope_label[where], values[where], labels).astype(np.int64)

    return LabelTotals(
        by_label(totals.scope_gpu_time),
        by_label(totals.scope_gpu_events),
        by_label(tree.scopes.end - tree.scopes.start),
        by_label(totals.scope_matrix),
        by_label(totals.scope_gpu_backward_time, backward_top),
        by_label(totals.scope_gpu_backward_events, backward_top),
        by_label(totals.scope_backward_matrix, backward_top),
    )


def calls_of(module: Ints, cpu: Ints, count: int, within_itself: Mask) -> tuple[Ints, Ints, Floats]:
    """Number of calls of each of `count` modules, and CPU time of the slowest and of the median call.

    The times of a module without calls mean nothing, and those of one that is called within itself are 0:
    a call that holds others is no slow one. `within_itself`, per scope: it lies in one of its own module.
    """
    calls = np.bincount(module, minlength=count)
    holds_itself = np.bincount(module, within_itself, count) > 0
    cpu = np.where(holds_itself[module], 0, cpu)
    if not len(module):
        return calls, np.zeros(count, np.int64), np.zeros(count)
    order = np.lexsort((cpu, module))
    last = np.cumsum(calls) - 1
    first = np.minimum(last - calls + 1, last)
    ordered = cpu[order]
    middle = (ordered[(first + last) // 2] + ordered[(first + last + 1) // 2]) / 2
    return calls, ordered[last], middle
