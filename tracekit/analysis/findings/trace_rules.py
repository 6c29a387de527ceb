"""Rules about the trace and the capture themselves: what ended early, is damaged or is not in it."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.analysis.findings.figures import ms
from tracekit.analysis.schema import Accounting, Capture, Finding, Flops, TraceInfo
from tracekit.messages import N_


def early_end(capture: Capture | None) -> Iterator[Finding]:
    if capture is not None and capture.error is not None:
        yield Finding(
            id="capture.ended_early",
            severity="high",
            evidence=N_("the capture ended early: {error}", error=capture.error),
            advice=N_("what came before that is in this report; mend the cause and capture again"),
        )


def damage(trace: TraceInfo) -> Iterator[Finding]:
    for warning in trace.warnings:
        yield Finding(
            id="trace.damaged",
            severity="medium",
            evidence=warning,
            advice=N_("copy the trace or capture it again"),
        )


def what_the_trace_lacks(trace: TraceInfo, accounting: Accounting, flops: Flops) -> Iterator[Finding]:
    if accounting.launched_before_trace.events:
        yield Finding(
            id="trace.launched_before",
            severity="low",
            evidence=N_(
                "{events} GPU events ({time} ms) were launched before the trace began, by no known module",
                events=accounting.launched_before_trace.events,
                time=ms(accounting.launched_before_trace.us),
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
