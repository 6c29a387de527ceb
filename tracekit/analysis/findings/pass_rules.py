"""Rules about passes and calls that differ from their siblings."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tracekit.analysis.findings.evidence import Evidence
from tracekit.analysis.findings.figures import ms
from tracekit.analysis.schema import Finding, ModuleRow, Pass
from tracekit.attribution import NOBODY
from tracekit.messages import N_

# A call is named when it takes this many times its module's median call, and at least this long.
SLOW_CALL_RATIO = 10.0
SLOW_CALL_US = 1000.0
# From this share of the wall time of passes on it is said that the GPU begins with them late.
LATE_SHARE = 0.2
LATE_US = 100.0  # the way of a launch to the device takes some microseconds


def several_kinds(flops: Sequence[int]) -> Iterator[Finding]:
    yield Finding(
        id="passes.of_several_kinds",
        severity="low",
        evidence=N_(
            "passes differ in what they compute, {least} to {most} MFLOPs: "
            "medians of a pass are of passes of several kinds",
            least=f"{min(flops) / 1e6:.4g}",
            most=f"{max(flops) / 1e6:.4g}",
        ),
        advice=N_("capture each kind on its own; --mode generate of capture tells prefill and decode apart"),
    )


def outlier_passes(passes: Sequence[Pass]) -> Iterator[Finding]:
    for one in passes:
        if one.outlier:
            yield Finding(
                id="pass.outlier",
                severity="medium",
                evidence=N_(
                    "pass {index} takes {wall} ms, far more than its siblings",
                    index=one.index,
                    wall=ms(one.wall_us),
                ),
                advice=N_("warm up longer before profiling; medians in this report do not follow it"),
            )


def late_starts(passes: Sequence[Pass]) -> Iterator[Finding]:
    """The GPU begins with a pass long after its call: it was busy with earlier work, or idle before it."""
    late = [
        one.wall_us - one.gpu_busy_us - one.gpu_idle_us
        for one in passes
        if one.kernels and one.wall_us > one.cpu_time_us  # else that is the time after its last GPU event
    ]
    late = [us for us in late if us > 0]
    wall = statistics.median(one.wall_us for one in passes) if passes else 0.0
    if len(late) * 2 > len(passes) and statistics.median(late) > max(LATE_US, LATE_SHARE * wall):
        yield Finding(
            id="pass.late_start",
            severity="low",
            evidence=N_(
                "the GPU begins with a pass {late} ms after its call, of {wall} ms of wall time (medians): "
                "work of earlier passes is queued before it, or the GPU was not ready",
                late=ms(statistics.median(late)),
                wall=ms(wall),
            ),
            advice=N_(
                "wall times and TFLOP/s of passes and steps contain that wait: measure latency, "
                "or synchronize the device before each pass"
            ),
        )


class _Calls(NamedTuple):
    """The calls of a module in one phase."""

    calls: int
    slowest_us: float
    median_us: float

    @property
    def sticks_out(self) -> bool:
        return (
            self.calls > 2
            and self.slowest_us > SLOW_CALL_US
            and self.slowest_us > SLOW_CALL_RATIO * self.median_us
        )


def slow_calls(
    modules: Sequence[ModuleRow], evidence: Evidence | None = None, outliers: Sequence[int] = ()
) -> Iterator[Finding]:
    """Modules with a call that stands out in its phase; of a chain of callers only the innermost is named.

    One inside the passes has a gain: what it takes longer than the median call, by the number of passes; not
    in passes that are `outliers`, which have a finding of their own.
    """
    slow: dict[str, tuple[ModuleRow, _Calls]] = {}
    for row in modules:
        of_phases = [
            _Calls(one.calls, one.slowest_call_us or 0.0, one.median_call_us or 0.0) for one in row.phases
        ]
        groups = of_phases or [_Calls(row.calls, row.slowest_call_us, row.median_call_us)]
        if found := [group for group in groups if group.sticks_out]:
            slow[row.path] = row, max(found, key=lambda group: group.slowest_us)
    callers = {row.parent for row, _calls in slow.values()}
    in_pass = _slowest_in_pass(evidence, outliers) if evidence is not None and slow else frozenset()
    for path, (_row, group) in slow.items():
        if path not in callers:
            yield Finding(
                id="module.slow_call",
                severity="medium",
                module=path,
                evidence=N_(
                    "one of its {calls} calls takes {slowest} ms of CPU time, the median one {median} ms",
                    calls=group.calls,
                    slowest=ms(group.slowest_us),
                    median=ms(group.median_us),
                ),
                gain_us=evidence.per_pass_us((group.slowest_us - group.median_us) * 1000)
                if evidence is not None and path in in_pass
                else None,
                advice=N_("usual for a first call (JIT compilation, autotuning): warm up before profiling"),
            )


def _slowest_in_pass(evidence: Evidence, outliers: Sequence[int]) -> frozenset[str]:
    """Paths of the modules whose slowest call lies within a pass that is no outlier."""
    tree, number = evidence.attribution.tree, evidence.attribution.scope_pass
    order = np.lexsort((tree.scopes.end - tree.scopes.start, tree.module))
    last = order[np.append(tree.module[order][1:] != tree.module[order][:-1], True)] if len(order) else order
    return frozenset(
        tree.modules[module].path
        for module in tree.module[last[~np.isin(number[last], [NOBODY, *outliers])]].tolist()
    )
