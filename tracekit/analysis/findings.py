"""What a reader of the report must know or could change: rules that fire on evidence only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tracekit.analysis.schema import (
    Accounting,
    Capture,
    Device,
    Finding,
    Flops,
    ModuleRow,
    Pass,
    PhaseRow,
    Telemetry,
    TraceInfo,
)
from tracekit.analysis.work_rows import are_of_several_kinds
from tracekit.messages import N_

# A call is named when it takes this many times its module's median call, and at least this long.
SLOW_CALL_RATIO = 10.0
SLOW_CALL_US = 1000.0
# Below this share of the GPU time in ops with matrix FLOPs, the FLOPs are likely a small part of the truth.
LEAST_COSTED_SHARE = 0.1
# Ours may be below torch's count of FLOPs by this share before it is said.
COUNT_TOLERANCE = 0.01
# Below this share of the greatest clock the device was held back, or its clock was.
LEAST_CLOCK_SHARE = 0.9
_SEVERITIES = ("high", "medium", "low", "note")


def find(
    trace: TraceInfo,
    device: Device,
    accounting: Accounting,
    flops: Flops,
    passes: Sequence[Pass],
    modules: Sequence[ModuleRow],
    phases: Sequence[PhaseRow] = (),
    capture: Capture | None = None,
) -> tuple[Finding, ...]:
    """The findings, worst first."""
    known_flops = [one.matrix_flops for one in passes if one.matrix_flops is not None]
    mixed = are_of_several_kinds((one.phase for one in passes), known_flops)
    found = [
        *_early_end(capture),
        *(_several_kinds(known_flops) if mixed else ()),
        *_outlier_passes(passes),
        *(() if mixed else _slow_calls(modules)),
        *_gpu_waits(passes),
        *_damage(trace),
        *_what_the_trace_lacks(trace, accounting, flops),
        *_doubtful_figures(device, accounting, flops),
        *(() if mixed else _uncounted(flops, phases)),
        *_throttled(device.telemetry),
    ]
    return tuple(sorted(found, key=lambda one: (_SEVERITIES.index(one.severity), -(one.gain_us or 0))))


def _early_end(capture: Capture | None) -> Iterator[Finding]:
    if capture is not None and capture.error is not None:
        yield Finding(
            id="capture.ended_early",
            severity="high",
            evidence=N_("the capture ended early: {error}", error=capture.error),
            advice=N_("what came before that is in this report; mend the cause and capture again"),
        )


def _several_kinds(flops: Sequence[int]) -> Iterator[Finding]:
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


def _slow_calls(modules: Sequence[ModuleRow]) -> Iterator[Finding]:
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
                    slowest=_ms(group.slowest_us),
                    median=_ms(group.median_us),
                ),
                advice=N_("usual for a first call (JIT compilation, autotuning): warm up before profiling"),
            )


def _gpu_waits(passes: Sequence[Pass]) -> Iterator[Finding]:
    """The GPU is idle for more than half of the time between first and last kernel, by phase."""
    waiting: dict[str | None, list[Pass]] = {}
    for one in passes:
        if one.kernels > 1 and one.gpu_idle_us > one.gpu_busy_us:
            waiting.setdefault(one.phase, []).append(one)
    several = len({one.phase for one in passes}) > 1
    for phase, own in waiting.items():
        idle = sorted(one.gpu_idle_us for one in own)[len(own) // 2]
        busy = sorted(one.gpu_busy_us for one in own)[len(own) // 2]
        figures = {"idle": _ms(idle), "busy": _ms(busy)}
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
    if flops.source is None:
        yield Finding(
            id="trace.no_shapes",
            severity="note",
            evidence=N_("the trace has no shapes, so FLOPs are unknown"),
            advice=N_("capture with tracekit, or profile with record_shapes=True"),
        )
    elif flops.source == "flop_counter":
        yield Finding(
            id="trace.no_shapes",
            severity="note",
            evidence=N_(
                "no operator of the trace has shapes that give matrix FLOPs: "
                "they are those that torch.utils.flop_counter counted in a pass when the model was captured"
            ),
            advice=N_("FLOPs of single operators are in traces with record_shapes=True only"),
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
    if (
        flops.source == "shapes"
        and flops.matrix
        and flops.matrix_gpu_time_us < LEAST_COSTED_SHARE * launched_us
    ):
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


def _uncounted(flops: Flops, phases: Sequence[PhaseRow]) -> Iterator[Finding]:
    """Passes with fewer FLOPs than torch counted: of an operator without a formula, or without shapes."""
    for row in phases if flops.source == "shapes" else ():
        ours, counted = row.matrix_flops, row.counted_flops
        if ours is not None and counted and ours < (1 - COUNT_TOLERANCE) * counted:
            yield Finding(
                id="flops.below_counter",
                severity="low",
                evidence=N_(
                    "operators of the trace give {share} % of the matrix FLOPs that "
                    "torch.utils.flop_counter counted in a pass ({phase})",
                    share=f"{ours / counted * 100:.3g}",
                    phase=row.name,
                ),
                advice=N_(
                    "take FLOPs and efficiency for lower bounds: custom, compiled or graphed operators "
                    "do not show what they compute"
                ),
            )


def _throttled(telemetry: Telemetry | None) -> Iterator[Finding]:
    """An idle GPU lowers its clock and has its reasons; what it did in the passes is then not known."""
    for position, gpu in enumerate(telemetry.after if telemetry is not None else ()):
        reasons = ", ".join(reason for reason in gpu.throttle_reasons if not _is_harmless(reason))
        clock, most = gpu.sm_clock_mhz, gpu.max_sm_clock_mhz
        idle = any("idle" in reason.lower() for reason in gpu.throttle_reasons)
        figures = None
        if clock is not None and most is not None:
            figures = N_("SM clock {clock} of {most} MHz", clock=f"{clock:.0f}", most=f"{most:.0f}")
        slow = clock is not None and most is not None and clock < LEAST_CLOCK_SHARE * most and not idle
        number = position if gpu.index is None else gpu.index
        if reasons and figures is not None:
            evidence = N_(
                "GPU {index} was held back after the passes ({reasons}): {figures}",
                index=number,
                reasons=reasons,
                figures=figures,
            )
        elif reasons:
            evidence = N_(
                "GPU {index} was held back after the passes ({reasons})", index=number, reasons=reasons
            )
        elif slow:
            evidence = N_(
                "GPU {index} was below its full clock after the passes: {figures}",
                index=number,
                figures=figures,
            )
        else:
            continue
        yield Finding(
            id="device.throttled",
            severity="medium",
            evidence=evidence,
            advice=N_("the peak is that of full clocks: look at power, temperature and clock settings"),
        )


def _is_harmless(reason: str) -> bool:
    """Whether it says that nothing was to be done, or that the user has set the clocks."""
    return any(word in reason.lower() for word in ("idle", "application", "none"))


def _ms(us: float) -> str:
    return f"{us / 1000:.3g}" if us < 1e6 else f"{us / 1000:.0f}"
