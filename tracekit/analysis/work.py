"""What is summed from ops over modules beside time and matrix FLOPs: vector FLOPs, bytes, bounds, limits.

`Work` is a set of columns of one length, of ops, scopes, modules or their types; a sum of columns is again
one. `tracekit.analysis.roofline` reads a row of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

from tracekit.analysis.gaps import Gaps, idle_in_scopes
from tracekit.analysis.op_costs import OpCosts
from tracekit.analysis.per_pass import PerPass, over_cells
from tracekit.attribution import NOBODY, Attribution, Floats, Mask, is_within_same, sum_by, sum_upwards
from tracekit.trace import Ints

# A kernel that takes less than this, ns, and stays below half of what the device could do, is too small to
# fill it: launching, filling and draining a grid takes some microseconds, whatever it computes. One that
# stays below a tenth does not fill it either, however long it takes: it waits for neither FLOPs nor bytes.
SMALL_KERNEL_NS = 10_000
SMALL_KERNEL_SHARE = 0.5
UNFILLED_SHARE = 0.1


@dataclass(frozen=True)
class Work:
    """Times in ns, of ops that count and launched GPU events; FLOPs and bytes of all that count."""

    vector: Floats
    bytes: Floats
    unsized: Floats  # ops whose bytes are unknown
    moved: Floats  # bytes of what launched GPU events, and of these …
    moving_time: Floats  # … the GPU time
    bound: Floats
    bounded_time: Floats  # GPU time of what has a bound,
    bounded_flops: Floats  # … the FLOPs of it that take longest at their peak,
    bounded_bytes: Floats  # … and its bytes
    compute: Floats  # bounded time that FLOPs limit,
    memory: Floats  # … that bytes limit,
    latency: Floats  # … of kernels that do not fill the device;
    sent: Floats  # bytes of collectives, and …
    network: Floats  # … their GPU time,
    transfer: Floats  # … of copies between host and device
    idle: Floats  # the GPU waits for the host in the scope

    def each(self, of: Callable[[Floats], Floats]) -> Work:
        """The columns that `of` makes of these."""
        return Work(**{field.name: of(getattr(self, field.name)) for field in fields(self)})


LIMITS = ("compute", "memory", "latency", "network", "transfer")


@dataclass(frozen=True)
class OpWork:
    """The work of the ops that count, a fraction of all."""

    op: Ints  # of each row
    rows: Work

    def summed_by(self, number: Ints, count: int) -> Work:
        """For each of `count` numbers the sums over the ops that have it; `number` is per op of the trace."""
        number = number[self.op]
        return self.rows.each(lambda column: sum_by(number, column, count))

    def total_where(self, mask: Mask) -> Work:
        """One row: the sums over the ops, of all in the trace, where `mask` is true."""
        at = mask[self.op]
        return self.rows.each(lambda column: column[at].sum(keepdims=True))


def work_of_ops(costs: OpCosts) -> OpWork:
    """What each op that counts does."""
    time = costs.time.astype(np.float64)
    bounded = costs.launched & np.isfinite(costs.bound)
    bound = np.where(bounded, costs.bound, 0.0)
    is_short = time < SMALL_KERNEL_NS * costs.gpu_events[costs.op].astype(np.int64)
    is_small = is_short & (bound < SMALL_KERNEL_SHARE * time)
    is_small |= bound < UNFILLED_SHARE * time
    computes = costs.compute_bound >= costs.bound
    moves = costs.launched & costs.knows_bytes
    moves &= ~costs.over_network & ~costs.copies_to_host & ~costs.partial

    def where(mask: Mask, values: Floats | Ints = time) -> Floats:
        return np.where(mask, values, 0.0)

    rows = Work(
        vector=costs.vector.astype(np.float64),
        bytes=where(~costs.over_network, costs.bytes),
        sent=where(costs.over_network, costs.bytes),
        unsized=(~costs.knows_bytes).astype(np.float64),
        moved=where(moves, costs.bytes),
        moving_time=where(moves),
        bound=bound,
        bounded_time=where(bounded),
        bounded_flops=where(bounded, costs.compute_flops),
        bounded_bytes=where(bounded, costs.bytes),
        compute=where(bounded & computes & ~is_small),
        memory=where(bounded & ~computes & ~is_small),
        latency=where(bounded & is_small),
        network=where(costs.launched & costs.over_network),
        transfer=where(costs.launched & costs.copies_to_host),
        idle=np.zeros(len(time)),
    )
    return OpWork(costs.op, rows)


@dataclass(frozen=True)
class ModuleWork:
    modules: Work  # per module, with children
    own: Work  # per module, without
    scopes: Work  # per scope, with children
    bound_per_pass: PerPass  # a row per module, ns, with children, as is …
    bounded_time_per_pass: PerPass
    own_bound_per_pass: PerPass
    own_bounded_time_per_pass: PerPass
    own_time_per_pass: PerPass  # GPU self time

    def of_passes(self, passes: Mask) -> ModuleWork:
        """With the columns per pass of some passes only."""
        names = [field.name for field in fields(self) if field.name.endswith("_per_pass")]
        return replace(self, **{name: getattr(self, name).of_passes(passes) for name in names})


def work_of_modules(attribution: Attribution, ops: OpWork, gaps: Gaps, gpu_self_time: Ints) -> ModuleWork:
    """Sums over the scopes of each module; what is called within itself counts once.

    `gpu_self_time` is per scope, ns.
    """
    tree, module, nesting = attribution.tree, attribution.tree.module, attribution.tree.nesting
    count, scopes, passes = len(tree.modules), len(tree.scopes), len(attribution.passes)
    in_scope = attribution.op_scope[ops.op]
    at = in_scope != NOBODY
    op_scope = in_scope[at]
    idle = idle_in_scopes(gaps, attribution).astype(np.float64)
    has_parent = nesting.parent != NOBODY
    idle_within = sum_by(nesting.parent[has_parent], idle[has_parent], scopes)
    top = ~is_within_same(module, nesting.parent)
    by_pass = over_cells(np.where(top, module, NOBODY), attribution.scope_pass, count, passes)
    own_by_pass = over_cells(module, attribution.scope_pass, count, passes)
    own, own_per_pass = {}, {}
    summed = {}
    for name, of_op in vars(ops.rows).items():  # one by one: there may be millions of scopes
        column = idle - idle_within if name == "idle" else sum_by(op_scope, of_op[at], scopes)
        own[name] = sum_by(module, column, count)
        summed[name] = sum_upwards(column, nesting.parent, nesting.depth)
        if name in ("bound", "bounded_time"):
            own_per_pass[name] = own_by_pass(column)
    of_scopes = Work(**summed)
    return ModuleWork(
        modules=of_scopes.each(lambda column: sum_by(module[top], column[top], count)),
        own=Work(**own),
        scopes=of_scopes,
        bound_per_pass=by_pass(of_scopes.bound),
        bounded_time_per_pass=by_pass(of_scopes.bounded_time),
        own_bound_per_pass=own_per_pass["bound"],
        own_bounded_time_per_pass=own_per_pass["bounded_time"],
        own_time_per_pass=own_by_pass(gpu_self_time),
    )


def work_by_label(work: ModuleWork, attribution: Attribution, label: Ints, labels: int) -> Work:
    """Sums with children per label of modules, nothing counted twice within one."""
    of_scope = label[attribution.tree.module]
    top = ~is_within_same(of_scope, attribution.tree.nesting.parent)
    return work.scopes.each(lambda column: sum_by(of_scope[top], column[top], labels))
