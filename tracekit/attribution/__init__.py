"""Every GPU event's launch, op, scope, module and pass: one row per event, nothing dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.attribution.backward import (
    backward_parents,
    backward_scopes,
    inherited,
    link_backward,
    runs_in_backward,
)
from tracekit.attribution.blocks import Block, find_blocks
from tracekit.attribution.intervals import (
    NOBODY,
    Floats,
    Mask,
    Nesting,
    depths,
    ends_of,
    has_ancestor,
    has_inside,
    holds_inside,
    innermost,
    inverse,
    is_within_same,
    moments,
    nearest,
    nest,
    numbered,
    own_time,
    pair_keys,
    sum_by,
    sum_inside,
    sum_upwards,
)
from tracekit.attribution.launches import launch_of_gpu_events
from tracekit.attribution.modules import Module, ModuleTree, find_modules, join, take
from tracekit.attribution.passes import Passes, find_passes
from tracekit.trace import Intervals, Ints, Ops, Trace

__all__ = [
    "NOBODY",
    "Attribution",
    "Block",
    "Floats",
    "Mask",
    "Module",
    "ModuleTree",
    "Nesting",
    "Passes",
    "attribute",
    "depths",
    "ends_of",
    "find_blocks",
    "has_ancestor",
    "has_inside",
    "holds_inside",
    "innermost",
    "inverse",
    "is_within_same",
    "join",
    "moments",
    "nearest",
    "nest",
    "numbered",
    "own_time",
    "pair_keys",
    "sum_by",
    "sum_inside",
    "sum_upwards",
    "take",
]


@dataclass(frozen=True)
class Attribution:
    """Who launched what. All indices are `NOBODY` where there is none."""

    tree: ModuleTree
    passes: Passes
    ops: Ops  # without the scopes that torch writes as ops
    op_nesting: Nesting
    op_scope: Ints  # innermost scope of each op
    op_pass: Ints
    op_backward_scope: Ints  # scope whose forward each op differentiates; of ops outside all scopes
    op_in_backward: Mask  # runs an autograd node or in one; within a scope: is run again
    has_backward: bool  # any op of the trace is known to differentiate another
    scope_pass: Ints
    scope_backward_pass: Ints  # pass of the forward that a scope's backward differentiates
    scope_backward_parent: Ints  # the scope above; for what is run again, who called the checkpoint
    scope_backward_depth: Ints
    regions: Intervals
    region_nesting: Nesting
    gpu_launch: Ints  # per GPU event, into trace.launches
    gpu_op: Ints  # innermost op around its launch
    gpu_scope: Ints  # innermost scope around its launch
    gpu_backward_scope: Ints  # scope whose forward it differentiates; of those launched outside all scopes
    gpu_pass: Ints
    gpu_region: Ints

    @property
    def launched_before_trace(self) -> Mask:
        """GPU events without a launch in the trace."""
        return np.equal(self.gpu_launch, NOBODY)

    @property
    def in_module(self) -> Mask:
        """GPU events that were launched inside a module's scope."""
        return np.not_equal(self.gpu_scope, NOBODY)

    @property
    def in_backward(self) -> Mask:
        """GPU events of a backward that is linked to a module's forward."""
        return np.not_equal(self.gpu_backward_scope, NOBODY)


def attribute(trace: Trace) -> Attribution:
    """Joins the tables of `trace`: by correlation on the way to the CPU, by enclosing intervals there."""
    tree = find_modules(trace)
    scopes = tree.scopes
    is_op = ~tree.is_scope_op
    ops = trace.ops if is_op.all() else Ops(**{name: of[is_op] for name, of in vars(trace.ops).items()})
    op_nesting = nest(ops)
    regions = take(trace.annotations, tree.is_region)
    region_nesting = nest(regions)

    launch = launch_of_gpu_events(trace)
    op_scope = innermost(tree.nesting, ops.thread, ops.start, ops.end)
    link = link_backward(trace, ops, op_nesting)
    op_backward_scope = backward_scopes(trace.names, ops, link, op_nesting, op_scope)
    op_in_backward = runs_in_backward(trace.names, ops, op_nesting)
    scope_op = innermost(op_nesting, scopes.thread, scopes.start, scopes.end)
    scope_in_backward = _of_op(op_in_backward, False, scope_op)
    passes = find_passes(tree, trace.processes, scope_in_backward)
    scope_pass = passes.containing(scopes, np.ones(len(scopes), np.bool_), scope_in_backward)
    backward_parent, backward_depth = backward_parents(
        tree.nesting.parent, _of_op(op_backward_scope, NOBODY, scope_op)
    )
    launched = np.flatnonzero(launch != NOBODY)
    calls = take(trace.launches, launch[launched])

    def of_all(values: Any) -> Ints:
        result = np.full(len(launch), NOBODY, np.int32)
        result[launched] = values
        return result

    gpu_op = innermost(op_nesting, calls.thread, calls.start, calls.end)
    gpu_scope = innermost(tree.nesting, calls.thread, calls.start, calls.end)
    gpu_region = innermost(region_nesting, calls.thread, calls.start, calls.end)
    differentiates = np.where(gpu_scope == NOBODY, _of_op(op_backward_scope, NOBODY, gpu_op), NOBODY)
    gpu_pass = passes.containing(calls, gpu_scope != NOBODY, _of_op(op_in_backward, False, gpu_op))
    return Attribution(
        tree=tree,
        passes=passes,
        ops=ops,
        op_nesting=op_nesting,
        op_scope=op_scope,
        op_backward_scope=op_backward_scope,
        op_in_backward=op_in_backward,
        has_backward=bool(np.any(link != NOBODY)),
        op_pass=passes.containing(ops, op_scope != NOBODY, op_in_backward),
        scope_pass=scope_pass,
        scope_backward_pass=inherited(scope_pass, backward_parent),
        scope_backward_parent=backward_parent,
        scope_backward_depth=backward_depth,
        regions=regions,
        region_nesting=region_nesting,
        gpu_launch=launch,
        gpu_op=of_all(gpu_op),
        gpu_scope=of_all(gpu_scope),
        gpu_backward_scope=of_all(differentiates),
        gpu_pass=of_all(gpu_pass),
        gpu_region=of_all(gpu_region),
    )


def _of_op(column: Any, default: Any, op: Ints) -> Any:
    """The value that `column` has for each op, `default` where there is none."""
    return np.append(column, np.array([default], column.dtype))[op]
