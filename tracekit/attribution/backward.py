"""Which forward op an op of a backward pass differentiates, and so in whose scope it would have run.

Two things in a trace say so. An arrow (a flow event) leads from the forward op to the backward op. And an
op of a backward carries the sequence number of the autograd node that it runs: of the forward ops on the
thread that created the node, the last one before it with that number created it, since the next node takes
the next number; ops that create no node, or call the one that does, carry the same number and start earlier.
(torch draws its arrows by that rule: `generateForwardBackwardLink` in torch/csrc/profiler/collection.cpp.)

An arrow knows the thread, which a sequence number does not, but only a point in time on it: it is believed
unless the ops found at its ends carry different sequence numbers. What neither links stays unlinked, as
`AccumulateGrad` does, which adds to the gradient of a parameter and differentiates no op.

Checkpointing runs a part of the forward again within a backward. That is forward work of its modules; its
own backward stands below whoever called the checkpoint, since that is where the first run stood.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracekit.attribution.intervals import (
    NOBODY,
    Mask,
    Nesting,
    depths,
    ends_of,
    has_ancestor,
    innermost,
    pair_keys,
)
from tracekit.attribution.lookup import last_no_later
from tracekit.trace import NO_ID, Flows, Ints, Ops, Trace

_ENGINE_PREFIX = "autograd::engine::evaluate_function: "
_ACCUMULATES = "torch::autograd::AccumulateGrad"  # with its hooks: reducers, optimizers that run in them
_MOST_VOTES = 1_000_000  # pairs of threads that have a number in common: bounds what a hostile trace costs


def link_backward(trace: Trace, ops: Ops, nesting: Nesting) -> Ints:
    """For each op, the forward op that it differentiates, else `NOBODY`.

    Only the ops that run an autograd node are linked, not what is nested in them.
    """
    numbered = ops.sequence != NO_ID
    is_backward = numbered & (ops.forward_thread > 0)
    start, end = _ends_of_arrows(trace.flows, ops, nesting)
    contradicted = numbered[start] & numbered[end] & (ops.sequence[start] != ops.sequence[end])
    start, end = start[~contradicted], end[~contradicted]

    link = np.full(len(ops), NOBODY, np.int32)
    forward = nesting.order[(numbered & ~is_backward)[nesting.order]]  # of equal starts, the inner one last
    backward = np.flatnonzero(is_backward)
    if len(forward) and len(backward):
        thread = _forward_threads(trace.processes, ops, forward, backward, start, end)
        found = last_no_later(
            (ops.thread[forward], ops.sequence[forward]),
            ops.start[forward],
            (thread, ops.sequence[backward]),
            ops.start[backward] - 1,
        )
        link[backward] = np.where(found != NOBODY, forward[found], NOBODY)
    link[end] = start

    # The engine's own op is around the node's, adds up the gradients that it gives, and has no arrow.
    is_engine = np.array([name.startswith(_ENGINE_PREFIX) for name in trace.names], np.bool_)
    around = nesting.parent[end]
    unlinked = (around != NOBODY) & is_engine[ops.name[around]] & (link[around] == NOBODY)
    link[around[unlinked]] = start[unlinked]
    return link


def runs_in_backward(names: Sequence[str], ops: Ops, nesting: Nesting) -> Mask:
    """Whether each op runs an autograd node, or in one: as its backward, or as forward work run again."""
    is_engine = np.array([name.startswith(_ENGINE_PREFIX) for name in names], np.bool_)
    is_node = (ops.forward_thread > 0) | is_engine[ops.name]
    return is_node | has_ancestor(is_node, nesting)


def backward_scopes(names: Sequence[str], ops: Ops, link: Ints, nesting: Nesting, op_scope: Ints) -> Ints:
    """For each op the scope whose forward it differentiates, by the innermost linked op around it.

    `NOBODY` for an op that runs in a scope itself: recomputation is forward work. A forward op outside all
    scopes that is itself nested in a backward op (the second backward of `create_graph=True`, say) leads on
    to what that one differentiates, and so does one of a checkpoint's own backward; but not what adds up
    the gradients of parameters there.
    """
    in_scope = op_scope != NOBODY
    accumulates = np.array([name.endswith(_ACCUMULATES) for name in names], np.bool_)[ops.name]
    step = np.where(link != NOBODY, link, np.where(accumulates, NOBODY, nesting.parent))
    leads_to = np.where(in_scope | (step == NOBODY), np.arange(len(link), dtype=np.int32), step)
    return np.where(in_scope, NOBODY, op_scope[ends_of(leads_to)])


def backward_parents(parent: Ints, around: Ints) -> tuple[Ints, Ints]:
    """Parents and depths of scopes for sums over the backward, as `sum_upwards` takes them.

    `parent`: the scope around each; `around`: the scope whose forward the op around it differentiates. A
    scope without a parent that is in no backward has none here either. (No circle: what is differentiated
    started earlier.)
    """
    parent = np.where(parent != NOBODY, parent, around)
    return parent, depths(parent)


def inherited(values: Ints, parent: Ints) -> Ints:
    """Each scope's own value or, where it is `NOBODY`, that of the nearest scope above that has one."""
    itself = np.arange(len(values), dtype=np.int32)
    return values[ends_of(np.where((values == NOBODY) & (parent != NOBODY), parent, itself))]


def _ends_of_arrows(flows: Flows, ops: Ops, nesting: Nesting) -> tuple[Ints, Ints]:
    """The forward and the backward op of each arrow whose ends both lie in ops, the forward one earlier."""
    is_end = flows.is_end > 0
    starts, ends = np.flatnonzero(~is_end), np.flatnonzero(is_end)
    found = last_no_later((flows.arrow[starts],), flows.time[starts], (flows.arrow[ends],), flows.time[ends])
    ends, starts = ends[found != NOBODY], starts[found[found != NOBODY]]
    both = np.concatenate((starts, ends))
    around = innermost(nesting, flows.thread[both], flows.time[both], flows.time[both])
    forward, backward = np.split(around, [len(starts)])
    backward = _outermost_with_same_start(backward, ops.start, nesting.parent)
    known = (forward != NOBODY) & (backward != NOBODY)
    forward, backward = forward[known], backward[known]
    is_earlier = ops.start[forward] < ops.start[backward]
    return forward[is_earlier], backward[is_earlier]


def _outermost_with_same_start(op: Ints, start: Ints, parent: Ints) -> Ints:
    """In a trace with whole microseconds, what an op calls may seem to start with it."""
    result: Ints = op.copy()
    pending = np.flatnonzero(op != NOBODY)
    while len(pending):
        around = parent[result[pending]]
        is_same = (around != NOBODY) & (start[around] == start[result[pending]])
        pending = pending[is_same]
        result[pending] = around[is_same]
    return result


def _forward_threads(
    processes: Ints, ops: Ops, forward: Ints, backward: Ints, arrow_start: Ints, arrow_end: Ints
) -> Ints:
    """For each of the `backward` ops, the thread of the trace that its `forward_thread` stands for.

    An arrow tells it. Without one it is the thread on which most of the sequence numbers are found that the
    backward ops have, of several the one that has fewest others; `NOBODY` where that does not decide.
    """
    threads = len(processes)
    of_forward, of_backward = np.split(
        _by_process(processes, ops, ops.sequence, np.concatenate((forward, backward))), [len(forward)]
    )
    nodes = int(max(of_forward.max(), of_backward.max())) + 1
    creator, creator_of_arrow = np.split(
        _by_process(processes, ops, ops.forward_thread, np.concatenate((backward, arrow_end))),
        [len(backward)],
    )
    known_creators, creator_of_backward = np.unique(creator, return_inverse=True)

    wanted = np.unique(pair_keys(creator_of_backward, of_backward, nodes))
    offered = np.unique(pair_keys(of_forward, ops.thread[forward], threads))
    first = np.searchsorted(offered // threads, wanted % nodes, side="left")
    count = np.searchsorted(offered // threads, wanted % nodes, side="right") - first
    by_count = np.argsort(count, kind="stable")  # a number that many threads have tells least
    kept = by_count[np.cumsum(count[by_count]) <= _MOST_VOTES]
    vote = np.repeat(kept, count[kept])
    position = np.arange(len(vote)) - np.repeat(np.cumsum(count[kept]) - count[kept], count[kept])
    ballot = (wanted[vote] // nodes) * threads + offered[first[vote] + position] % threads

    at = np.searchsorted(known_creators, creator_of_arrow)
    told = _is_in(creator_of_arrow, at, known_creators)
    arrow_ballot = at[told] * threads + ops.thread[arrow_start[told]]

    candidates, choice = np.unique(np.concatenate((ballot, arrow_ballot)), return_inverse=True)
    weight = np.concatenate((np.ones(len(ballot)), np.full(len(arrow_ballot), len(ballot) + 1.0)))
    votes = np.bincount(choice, weight, len(candidates))
    numbers_of_thread = np.bincount(offered % threads, minlength=threads)
    creator_of_candidate, thread = candidates // threads, candidates % threads
    others = numbers_of_thread[thread]
    order = np.lexsort((-others, votes, creator_of_candidate))
    creator_of_candidate, thread, votes, others = (
        column[order] for column in (creator_of_candidate, thread, votes, others)
    )
    is_last = np.append(creator_of_candidate[1:] != creator_of_candidate[:-1], True)
    equals_previous = np.zeros(len(order), np.bool_)
    equals_previous[1:] = ~is_last[:-1] & (votes[1:] == votes[:-1]) & (others[1:] == others[:-1])
    winner = np.full(len(known_creators), NOBODY, np.int64)
    best = np.flatnonzero(is_last & ~equals_previous) if len(order) else np.empty(0, np.int64)
    winner[creator_of_candidate[best]] = thread[best]
    return np.asarray(winner[creator_of_backward], np.int64)


def _by_process(processes: Ints, ops: Ops, column: Ints, at: Ints) -> Ints:
    """A number for each pair of process and value of a column that the ops `at` have."""
    distinct, number = np.unique(column[at], return_inverse=True)
    return pair_keys(processes[ops.thread[at]], number, len(distinct))


def _is_in(values: Ints, at: Ints, known: Ints) -> Mask:
    """Whether `known`, sorted, holds each value at the position where it would stand."""
    return np.asarray(known[np.minimum(at, len(known) - 1)] == values, np.bool_)
