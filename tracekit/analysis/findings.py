"""What a reader of the report must know or could change: rules that fire on evidence only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracekit.analysis.schema import Accounting, Device, Finding, Flops, ModuleRow, Pass, TraceInfo
from tracekit.messages import N_

# A call is named when it takes this many times its module's median call, and at least this long.
SLOW_CALL_RATIO = 10.0
SLOW_CALL_US = 1000.0
# Below this share of the GPU time in ops with matrix FLOPs, the FLOPs are likely a small part of the truth.
LEAST_COSTED_SHARE = 0.1
_SEVERITIES = ("high", "medium", "low", "note")


def find(
    trace: TraceInfo,
    device: Device,
    accounting: Accounting,
    flops: Flops,
    passes: Sequence[Pass],
    modules: Sequence[ModuleRow],
) -> tuple[Finding, ...]:
    """The findings, worst first."""
    found = [
        *_outlier_passes(passes),
        *_slow_calls(modules),
        *_gpu_waits(passes),
        *_damage(trace),
        *_what_the_trace_lacks(trace, accounting, flops),
        *_doubtful_figures(device, accounting, flops),
    ]
    return tuple(sorted(found, key=lambda one: (_SEVERITIES.index(one.severity), -(one.gain_us or 0))))


def _outlier_passes(passes: Sequence[Pass]) -> Iterator[Finding]:
    for one in passes:
        if one.outlier:
            yield Finding(
                id="pass.outlier",
                severity="medium",
                evidence=N_(
                    "pass {index} takes {wall} ms, far more than its siblings",
                    index=one.index,
                    wall=_ms(one.wall_us),
                ),
                advice=N_("warm up longer before profiling; medians in this report do not follow it"),
            )


def _slow_calls(modules: Sequence[ModuleRow]) -> Iterator[Finding]:
    """Modules whose slowest call stands out; of a chain of callers only the innermost is named."""
    slow = {
        row.path: row
        for row in modules
        if row.calls > 2
        and row.slowest_call_us > SLOW_CALL_US
        and row.slowest_call_us > SLOW_CALL_RATIO * row.median_call_us
    }
    callers = {row.parent for row in slow.values()}
    for path, row in slow.items():
        if path not in callers:
            yield Finding(
                id="module.slow_call",
                severity="medium",
                module=path,
                evidence=N_(
                    "one of its {calls} calls takes {slowest} ms of CPU time, the median one {median} ms",
                    calls=row.calls,
                    slowest=_ms(row.slowest_call_us),
                    median=_ms(row.median_call_us),
                ),
                advice=N_("usual for a first call (JIT compilation, autotuning): warm up before profiling"),
            )


def _gpu_waits(passes: Sequence[Pass]) -> Iterator[Finding]:
    """The GPU is idle for more than half of the time between the first and last kernel of a pass."""
    waiting = [one for one in passes if one.kernels > 1 and one.gpu_idle_us > one.gpu_busy_us]
    if waiting:
        idle = sorted(one.gpu_idle_us for one in waiting)[len(waiting) // 2]
        busy = sorted(one.gpu_busy_us for one in waiting)[len(waiting) // 2]
        yield Finding(
            id="gpu.idle",
            severity="high",
            evidence=N_(
                "within a pass under the profiler the GPU is idle for {idle} ms and busy for {busy} ms",
                idle=_ms(idle),
                busy=_ms(busy),
            ),
            gain_us=idle,
            advice=N_("launches cannot keep up: use larger batches, CUDA graphs or torch.compile"),
        )


def _damage(trace: TraceInfo) -> Iterator[Finding]:
    for warning in trace.warnings:
        yield Finding(
            id="trace.damaged",
            severity="medium",
            evidence=warning,
            advice=N_("copy the trace or capture it again"),
        )


def _what_the_trace_lacks(trace: TraceInfo, accounting: Accounting, flops: Flops) -> Iterator[Finding]:
    if accounting.launched_before_trace.events:
        yield Finding(
            id="trace.launched_before",
            severity="low",
            evidence=N_(
                "{events} GPU events ({time} ms) were launched before the trace began, by no known module",
                events=accounting.launched_before_trace.events,
                time=_ms(accounting.launched_before_trace.us),
            ),
            advice=N_("synchronize the device before the profiler starts"),
        )
    if not accounting.gpu_events:
        yield Finding(
            id="trace.no_gpu",
            severity="note",
            evidence=N_("the trace has no GPU events: all times are CPU times"),
            advice=N_("profile on a GPU with ProfilerActivity.CUDA"),
        )
    if trace.module_source is None:
        yield Finding(
            id="trace.no_modules",
            severity="note",
            evidence=N_("the trace does not say which modules ran"),
            advice=N_("capture with tracekit, or profile with with_stack=True"),
        )
    if flops.matrix is None:
        yield Finding(
            id="trace.no_shapes",
            severity="note",
            evidence=N_("the trace has no shapes, so FLOPs are unknown"),
            advice=N_("capture with tracekit, or profile with record_shapes=True"),
        )


def _doubtful_figures(device: Device, accounting: Accounting, flops: Flops) -> Iterator[Finding]:
    if device.note is not None and accounting.gpu_events:
        yield Finding(
            id="device.unknown" if device.peaks is None else "device.replaced",
            severity="note",
            evidence=device.note,
            advice=N_("without the device's figures there are no percentages of its peak")
            if device.peaks is None
            else N_("percentages of the peak hold if that is the device"),
        )
    launched_us = accounting.gpu_time_us - accounting.launched_before_trace.us
    if flops.matrix and flops.matrix_gpu_time_us < LEAST_COSTED_SHARE * launched_us:
        yield Finding(
            id="flops.partial",
            severity="low",
            evidence=N_(
                "operators with known matrix FLOPs launched {share} % of the GPU time",
                share=f"{flops.matrix_gpu_time_us / launched_us * 100:.2g}",
            ),
            advice=N_(
                "take the FLOPs of a pass for a lower bound: what the rest computes is not in the trace"
            ),
        )


def _ms(us: float) -> str:
    return f"{us / 1000:.3g}" if us < 1e6 else f"{us / 1000:.0f}"
