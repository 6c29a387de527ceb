"""Rules about a GPU that waits for the host: launches that cannot keep up, calls that wait for the GPU."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tracekit.analysis.findings.evidence import HIGH_SHARE, MEDIUM_SHARE, Evidence
from tracekit.analysis.findings.figures import ms, number
from tracekit.analysis.gaps import idle_in_scopes, is_synchronising
from tracekit.analysis.schema import Finding, Pass
from tracekit.attribution import NOBODY, Mask, innermost
from tracekit.messages import N_
from tracekit.trace import Intervals, Ints

# How many modules a finding names, and the least share of the idle time of one that it names.
MOST_NAMED = 3
LEAST_NAMED_SHARE = 0.05
# Gaps are those of an empty queue where nearly all of their time lies in the first part of a pass.
START_SHARE = 0.2
NEARLY_ALL = 0.9


def slow_launches(
    evidence: Evidence, passes: Sequence[Pass], latencies_us: Mapping[str | None, float]
) -> Iterator[Finding]:
    """The GPU has nothing to do while the host prepares the next launch, by phase.

    `latencies_us`: of passes without the profiler, by phase. What they leave beside the time in which the GPU
    is busy is all that it can wait then: the profiler slows launches down.
    """
    gaps = evidence.gaps
    of_pass = np.bincount(gaps.number, gaps.lost_to_launches / gaps.devices, len(passes))
    several = len({one.phase for one in passes}) > 1
    for phase in dict.fromkeys(one.phase for one in passes):
        own = [one for one in passes if one.phase == phase and one.kernels > 1]
        own = [one for one in own if not one.outlier] or own
        if not own:
            continue
        wall = _mean([one.wall_us for one in own])
        busy = _mean([one.gpu_busy_us for one in own])
        idle = _mean([float(of_pass[one.index]) / 1000 for one in own])
        gain = min(idle, max(0.0, latencies_us[phase] - busy)) if phase in latencies_us else idle
        if not gain or gain < MEDIUM_SHARE * wall:
            continue
        within = np.isin(gaps.number, [one.index for one in own])
        at_start = _is_at_the_start(evidence, within)
        worst = _worst_modules(evidence, within)
        figures = {
            "where": N_("within a pass of {phase} under the profiler", phase=phase)
            if several and phase
            else N_("within a pass under the profiler"),
            "idle": ms(idle),
            "busy": ms(busy),
        }
        yield Finding(
            id="gpu.idle",
            severity="note" if at_start else "high" if gain >= HIGH_SHARE * wall else "medium",
            evidence=N_(
                "{where} the GPU waits {idle} ms for launches and is busy for {busy} ms; "
                "the CPU is then in code of {modules}",
                modules=[
                    N_(
                        "{module} ({share}%)",
                        module=evidence.groups.names[label],
                        share=f"{share * 100:.0f}",
                    )
                    for label, share in worst
                ],
                **figures,
            )
            if worst
            else N_("{where} the GPU waits {idle} ms for launches and is busy for {busy} ms", **figures),
            gain_us=gain,
            advice=N_(
                "it waits at the start of a pass only, after which launches are ahead: "
                "queue the next pass before the last one ends"
            )
            if at_start
            else N_("launches cannot keep up: use larger batches, CUDA graphs or torch.compile"),
        )


def _is_at_the_start(evidence: Evidence, within: Mask) -> bool:
    """Whether nearly all of these gaps lie at the start of their passes: the queue was empty, then fills."""
    gaps, passes = evidence.gaps, evidence.attribution.passes.scopes
    number = gaps.number[within]
    wall = evidence.wall_us * 1000
    early = gaps.end[within] - passes.start[number] <= START_SHARE * wall
    lost = gaps.lost_to_launches[within]
    return bool(lost[early].sum() >= NEARLY_ALL * lost.sum())


def _worst_modules(evidence: Evidence, within: Mask) -> list[tuple[int, float]]:
    """The groups of modules whose own code the host ran in most of the gaps, and their shares."""
    nesting = evidence.attribution.tree.nesting
    idle = idle_in_scopes(evidence.gaps, evidence.attribution, within)
    inner = nesting.parent != NOBODY
    own = idle - np.bincount(nesting.parent[inner], idle[inner], len(idle)).astype(np.int64)
    labels = len(evidence.groups.names)
    by_label = np.bincount(evidence.label_of_scope(np.arange(len(own))), own, labels)
    total = int(evidence.gaps.lost_to_launches[within].sum())
    order = np.argsort(-by_label, kind="stable")[:MOST_NAMED].tolist()
    shares = [(label, float(by_label[label]) / total) for label in order]
    return [
        (label, share)
        for label, share in shares
        if share >= LEAST_NAMED_SHARE and evidence.groups.names[label]
    ]


def synchronisations(evidence: Evidence) -> Iterator[Finding]:
    """Calls inside passes that wait for the GPU, by the code that makes them.

    The gain is what the GPU idles afterwards because of the wait, until what is launched next arrives.
    """
    attribution, launches = evidence.attribution, evidence.trace.launches
    at = np.flatnonzero(is_synchronising(evidence.trace))
    if not len(at) or not len(attribution.passes):
        return
    calls = Intervals(launches.name[at], launches.thread[at], launches.start[at], launches.end[at])
    scope = innermost(attribution.tree.nesting, calls.thread, calls.start, calls.end)
    op = innermost(attribution.op_nesting, calls.thread, calls.start, calls.end)
    in_backward = np.append(attribution.op_in_backward, False)[op]
    in_pass = attribution.passes.containing(calls, scope != NOBODY, in_backward) != NOBODY
    # Around a pass stand the profiler's own, and those of whoever measures: in no module and no op.
    in_pass &= (scope != NOBODY) | (op != NOBODY)
    lost = np.zeros(len(launches), np.int64)
    known = evidence.gaps.synchronised_by != NOBODY
    np.add.at(lost, evidence.gaps.synchronised_by[known], evidence.gaps.lost_to_it[known])
    op_name = np.where(op != NOBODY, np.append(attribution.ops.name, 0)[_outermost(evidence, op)], calls.name)
    label = evidence.label_of_scope(scope)
    by_maker: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for position in np.flatnonzero(in_pass).tolist():
        by_maker[int(label[position]), int(op_name[position]), int(calls.name[position])].append(position)
    for (group, op_code, call), positions in by_maker.items():
        gain = evidence.per_pass_us(int(lost[at[positions]].sum()))
        wait = evidence.per_pass_us(int((calls.end - calls.start)[positions].sum()))
        yield Finding(
            id="gpu.synchronisation",
            severity=evidence.severity(gain) if evidence.matters(gain) else "note",
            module=evidence.module_of(group, scope[positions].tolist()),
            evidence=N_(
                "{op} waits for the GPU in {call}: {count} a pass, {wait} µs; "
                "because of that the GPU has nothing to do for {idle} µs",
                op=evidence.trace.names[op_code],
                call=evidence.trace.names[call],
                count=number(len(positions) / evidence.passes),
                wait=number(wait),
                idle=number(gain),
            ),
            gain_us=gain or None,
            advice=N_(
                "keep the value on the GPU (torch.where, sizes known beforehand) or fetch it after the pass"
            ),
        )


def _outermost(evidence: Evidence, op: Ints) -> Ints:
    return np.append(evidence.outermost_op, NOBODY)[op]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
