"""Rules about passes and calls that differ from their siblings, and about passes whose GPU waits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tracekit.analysis.findings.figures import ms
from tracekit.analysis.schema import Finding, ModuleRow, Pass
from tracekit.messages import N_

# A call is named when it takes this many times its module's median call, and at least this long.
SLOW_CALL_RATIO = 10.0
SLOW_CALL_US = 1000.0


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


def slow_calls(modules: Sequence[ModuleRow]) -> Iterator[Finding]:
    """Modules with a call that stands out in its phase; of a chain of callers only the innermost is named."""
    slow: dict[str, tuple[ModuleRow, _Calls]] = {}
    for row in modules:
        of_phases = [
            _Calls(one.calls, one.slowest_call_us or 0.0, one.median_call_us or 0.0) for one in row.phases
        ]
        groups = of_phases or [_Calls(row.calls, row.slowest_call_us, row.median_call_us)]
        if found := [group for group in groups if group.sticks_out]:
            slow[row.path] = row, max(found, key=lambda group: group.slowest_us)
    callers = {row.parent for row, _calls in slow.values()}
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
                advice=N_("usual for a first call (JIT compilation, autotuning): warm up before profiling"),
            )


def gpu_waits(passes: Sequence[Pass]) -> Iterator[Finding]:
    """The GPU is idle for more than half of the time between first and last kernel, by phase."""
    waiting: dict[str | None, list[Pass]] = {}
    for one in passes:
        if one.kernels > 1 and one.gpu_idle_us > one.gpu_busy_us:
            waiting.setdefault(one.phase, []).append(one)
    several = len({one.phase for one in passes}) > 1
    for phase, own in waiting.items():
        idle = sorted(one.gpu_idle_us for one in own)[len(own) // 2]
        busy = sorted(one.gpu_busy_us for one in own)[len(own) // 2]
        figures = {"idle": ms(idle), "busy": ms(busy)}
        yield Finding(
            id="gpu.idle",
            severity="high",
            evidence=N_(
                "within a pass of {phase} under the profiler the GPU is idle for {idle} ms "
                "and busy for {busy} ms",
                phase=phase,
                **figures,
            )
            if several and phase
            else N_(
                "within a pass under the profiler the GPU is idle for {idle} ms and busy for {busy} ms",
                **figures,
            ),
            gain_us=idle,
            advice=N_("launches cannot keep up: use larger batches, CUDA graphs or torch.compile"),
        )
