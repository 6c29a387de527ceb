"""Matrix FLOPs of passes and modules: from shapes of ops, else as torch counted them at capture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tracekit.analysis.captured import Captured, CapturedPhase
from tracekit.analysis.op_costs import OpCosts
from tracekit.analysis.phases import Phases
from tracekit.attribution import NOBODY, Attribution, is_within_same
from tracekit.trace import Ints

_MOST = 1 << 62


@dataclass(frozen=True)
class PassFlops:
    source: str | None  # "shapes", "flop_counter"
    total: int | None  # of the whole trace
    by_pass: Sequence[int | None]
    by_scope: Ints | None  # with children, where they were counted by module
    knows_modules: bool


def count_pass_flops(
    attribution: Attribution, costs: OpCosts, phases: Phases, captured: Captured
) -> PassFlops:
    """From shapes where any op has one that counts; what torch counted in whole passes is never mixed in."""
    passes = len(attribution.passes)
    if not costs.matrix.any() and (counts := _counts_of_passes(passes, phases, captured)):
        flops = [count.matrix_flops or 0 for count in counts]
        total = sum(flops)
        by_scope = _by_scope(attribution, counts) if all(one.module_flops for one in counts) else None
        if 0 < total < _MOST:
            return PassFlops("flop_counter", total, flops, by_scope, by_scope is not None)
    if not costs.has_shapes:
        return PassFlops(None, None, [None] * passes, None, False)
    number = attribution.op_pass[costs.op]
    by_pass = np.bincount(number[number != NOBODY], costs.matrix[number != NOBODY], passes)
    return PassFlops("shapes", int(costs.matrix.sum()), [int(x) for x in by_pass], None, True)


def _counts_of_passes(passes: int, phases: Phases, captured: Captured) -> list[CapturedPhase]:
    """What was counted of each pass; nothing where it is not known of all."""
    counted = {phase.name: phase for phase in captured.phases if phase.matrix_flops is not None}
    found = [counted.get(phases.of(index) or "") for index in range(passes)]
    return [one for one in found if one is not None] if None not in found else []


def _by_scope(attribution: Attribution, counts: Sequence[CapturedPhase]) -> Ints | None:
    """FLOPs by scope: those of a module in a pass at its first call in it. None where they overflow."""
    tree, number = attribution.tree, attribution.scope_pass
    top = np.flatnonzero((number != NOBODY) & ~is_within_same(tree.module, tree.nesting.parent))
    order = top[np.lexsort((tree.scopes.start[top], number[top], tree.module[top]))]
    repeats = np.zeros(len(order), np.bool_)
    repeats[1:] = (np.diff(tree.module[order]) == 0) & (np.diff(number[order]) == 0)
    flops = [0] * len(tree.scopes)
    for scope in order[~repeats].tolist():
        of_module = counts[int(number[scope])].module_flops or {}
        index = tree.modules[int(tree.module[scope])].table_index
        flops[scope] = of_module.get(index, 0) if index is not None else 0
    return np.array(flops, np.int64) if sum(flops) < _MOST else None
