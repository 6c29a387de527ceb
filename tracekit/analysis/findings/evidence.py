"""What rules about the trace itself look at: the trace, who did what in it, at what cost, on what device.

Nothing here judges; a rule asks and decides. Columns are computed when the first rule asks for them. Times
are ns; what a rule says of them is µs per pass: the total over all passes ÷ their number, or the total
itself where a trace has no passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tracekit.analysis.gaps import Gaps
from tracekit.analysis.op_costs import OpCosts
from tracekit.analysis.places import Groups, group_modules
from tracekit.attribution import NOBODY, Attribution, Mask, ends_of
from tracekit.hardware import DeviceSpec
from tracekit.trace import Ints, Trace

# From this share of the wall time of a pass on, what could be gained is worth doing first, or soon.
HIGH_SHARE = 0.10
MEDIUM_SHARE = 0.02
# Below this share of it, what could be gained is lost in the difference of one run from the next.
LEAST_SHARE = 0.002


@dataclass(frozen=True)
class WorkItems:
    """What puts GPU events on a device, in the order of threads and time: ops, and launches outside ops."""

    op: Ints  # into Attribution.ops; `NOBODY` for a launch outside all ops
    thread: Ints
    start: Ints
    scope: Ints
    signature: Ints  # `NOBODY` for a launch outside all ops
    gpu_time: Ints  # of the GPU events that it launched itself
    in_pass: Mask

    def __len__(self) -> int:
        return len(self.op)


@dataclass(frozen=True)
class Evidence:
    trace: Trace
    attribution: Attribution
    costs: OpCosts
    device: DeviceSpec | None
    gaps: Gaps

    @property
    def passes(self) -> int:
        """By how many a total is divided."""
        return max(1, len(self.attribution.passes))

    def per_pass_us(self, ns: float) -> float:
        return float(ns) / 1000 / self.passes

    @cached_property
    def op_in_pass(self) -> Mask:
        """Per op: what a rule looks at. All of them where the trace has no passes."""
        return self._in_pass(self.attribution.op_pass)

    @cached_property
    def gpu_in_pass(self) -> Mask:
        return self._in_pass(self.attribution.gpu_pass)

    def _in_pass(self, number: Ints) -> Mask:
        if not len(self.attribution.passes):
            return np.ones(len(number), np.bool_)
        return np.not_equal(number, NOBODY)

    @cached_property
    def gpu_duration(self) -> Ints:
        return self.trace.gpu_events.end - self.trace.gpu_events.start

    @cached_property
    def gpu_time_us(self) -> float:
        """GPU time of a pass."""
        return self.per_pass_us(int(self.gpu_duration[self.gpu_in_pass].sum()))

    @cached_property
    def wall_us(self) -> float:
        """Median wall time of a pass; without passes the span of the GPU events."""
        passes, events = self.attribution.passes.scopes, self.trace.gpu_events
        if not len(passes):
            return int(events.end.max() - events.start.min()) / 1000 if len(events) else 0.0
        last_end = passes.end.copy()
        at = self.attribution.gpu_pass != NOBODY
        np.maximum.at(last_end, self.attribution.gpu_pass[at], events.end[at])
        return float(np.median(last_end - passes.start)) / 1000

    def severity(self, gain_us: float) -> str:
        """By the share of a pass's wall time that could be gained."""
        if gain_us >= HIGH_SHARE * self.wall_us:
            return "high"
        return "medium" if gain_us >= MEDIUM_SHARE * self.wall_us else "low"

    def matters(self, gain_us: float) -> bool:
        return gain_us > 0 and gain_us >= LEAST_SHARE * self.wall_us

    @cached_property
    def groups(self) -> Groups:
        return group_modules(self.attribution.tree)

    @cached_property
    def work(self) -> WorkItems:
        """Ops by their start, launches outside ops by their own."""
        attribution, launches = self.attribution, self.trace.launches
        ops = attribution.ops
        op_time = np.bincount(*self._by(attribution.gpu_op), len(ops)).astype(np.int64)
        op_events = np.bincount(attribution.gpu_op[attribution.gpu_op != NOBODY], minlength=len(ops))
        of_op = np.flatnonzero(op_events)
        alone = (attribution.gpu_op == NOBODY) & (attribution.gpu_launch != NOBODY)
        launch, first, which = np.unique(
            attribution.gpu_launch[alone], return_index=True, return_inverse=True
        )
        event = np.flatnonzero(alone)[first]
        launch_time = np.bincount(which, self.gpu_duration[alone], len(launch)).astype(np.int64)
        nobody = np.full(len(launch), NOBODY, np.int64)
        items = WorkItems(
            op=np.concatenate((of_op, nobody)),
            thread=np.concatenate((ops.thread[of_op], launches.thread[launch])),
            start=np.concatenate((ops.start[of_op], launches.start[launch])),
            scope=np.concatenate((attribution.op_scope[of_op], attribution.gpu_scope[event])),
            signature=np.concatenate((ops.signature[of_op], nobody)),
            gpu_time=np.concatenate((op_time[of_op], launch_time)),
            in_pass=np.concatenate((self.op_in_pass[of_op], self.gpu_in_pass[event])),
        )
        order = np.lexsort((items.start, items.thread))
        return WorkItems(
            *(items.op[order], items.thread[order], items.start[order], items.scope[order]),
            *(items.signature[order], items.gpu_time[order], items.in_pass[order]),
        )

    def of_work(self, per_signature: Sequence[bool]) -> Mask:
        """Per item of work what holds for its signature; nothing holds for a launch outside all ops."""
        return np.append(np.array(per_signature, np.bool_), False)[self.work.signature]

    def runs(self, belongs: Mask) -> list[tuple[int, int]]:
        """First and end positions of neighbours in `work` that belong, of one scope and one thread each.

        An item alone is no run.
        """
        work = self.work
        joins = belongs[1:] & belongs[:-1] & (work.scope[1:] == work.scope[:-1])
        joins &= work.thread[1:] == work.thread[:-1]
        edges = np.flatnonzero(np.diff(np.concatenate(([False], joins, [False])).astype(np.int8)))
        return list(zip(edges[::2].tolist(), (edges[1::2] + 1).tolist(), strict=True))

    def _by(self, index: Ints) -> tuple[Ints, Ints]:
        known = index != NOBODY
        return index[known], self.gpu_duration[known]

    @cached_property
    def outermost_op(self) -> Ints:
        """Per op the outermost one around it that runs in the same scope: what the module's code calls."""
        parent, scope = self.attribution.op_nesting.parent, self.attribution.op_scope
        same = (parent != NOBODY) & (scope == scope[parent])
        return ends_of(np.where(same, parent, np.arange(len(parent), dtype=np.int32)))

    def label_of_scope(self, scope: Ints) -> Ints:
        """Into `groups.names`, the last of which stands for what is in no module."""
        return np.asarray(self._label_of_each_scope[scope], np.int64)

    @cached_property
    def _label_of_each_scope(self) -> Ints:
        """The last one is that of `NOBODY`."""
        of_scope = self.groups.of_module[self.attribution.tree.module]
        return np.append(of_scope, len(self.groups.names) - 1)

    def module_of(self, group: int, scopes: Iterable[int]) -> str | None:
        """The name of a group; where all these scopes are calls of one module, that module's path."""
        tree = self.attribution.tree
        members = {int(tree.module[scope]) if scope != NOBODY else NOBODY for scope in scopes}
        if len(members) > 1 or members <= {NOBODY}:
            return self.groups.names[group] or None
        return tree.modules[members.pop()].path or self.groups.names[group]

    def modules_in(self, scopes: Iterable[int]) -> int:
        """How many modules these scopes are calls of."""
        return len({int(self.attribution.tree.module[scope]) for scope in scopes if scope != NOBODY})
