"""Rules about the trace and the capture themselves: what ended early, is damaged or is not in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import numpy as np

from tracekit.analysis.findings.evidence import Evidence
from tracekit.analysis.findings.figures import ms, percent
from tracekit.analysis.schema import Accounting, Capture, Finding, Flops, TraceInfo
from tracekit.attribution import NOBODY
from tracekit.messages import N_, Message

# From this share of the GPU time on, what is in no module is worth knowing.
LEAST_OUTSIDE_SHARE = 0.05
# How many of the ops there are named.
MOST_NAMED = 3
LONGEST_NAME = 1000  # renderers shorten names


def early_end(capture: Capture | None) -> Iterator[Finding]:
    if capture is not None and capture.error is not None:
        yield Finding(
            id="capture.ended_early",
            severity="high",
            evidence=N_("the capture ended early: {error}", error=capture.error),
            advice=N_("what came before that is in this report; mend the cause and capture again"),
        )


def damage(trace: TraceInfo, harmless: Collection[Message]) -> Iterator[Finding]:
    """What reading warned of; `harmless` are those warnings that are no fault of the file."""
    for warning in trace.warnings:
        if warning not in harmless:
            yield Finding(
                id="trace.damaged",
                severity="medium",
                evidence=warning,
                advice=N_("copy the trace or capture it again"),
            )


def deep_nesting(warnings: Iterable[Message]) -> Iterator[Finding]:
    for warning in warnings:
        yield Finding(
            id="trace.deep_nesting",
            severity="note",
            evidence=warning,
            advice=N_("to see them apart, profile an inner module alone"),
        )


def what_the_trace_lacks(trace: TraceInfo, accounting: Accounting, flops: Flops) -> Iterator[Finding]:
    if accounting.launched_before_trace.events:
        yield Finding(
            id="trace.launched_before",
            severity="low",
            evidence=N_(
                "GPU events launched before the trace began, by no known module: {events} ({time} ms)",
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


def no_latency(latency_us: float | None, passes: int, accounting: Accounting) -> Iterator[Finding]:
    if latency_us is None and passes and accounting.gpu_events:
        yield Finding(
            id="trace.no_latency",
            severity="note",
            evidence=N_(
                "no pass was timed without the profiler, which makes launches slower: "
                "pass times and gaps are those under the profiler"
            ),
            advice=N_("capture with tracekit, which times passes without the profiler too"),
        )


def outside_modules(evidence: Evidence, trace: TraceInfo, accounting: Accounting) -> Iterator[Finding]:
    """Much GPU time that belongs to no module, and what takes it."""
    launched = accounting.gpu_time_us - accounting.launched_before_trace.us
    outside_us = accounting.outside_modules.us
    if trace.module_source is None or outside_us <= LEAST_OUTSIDE_SHARE * launched:
        return
    attribution = evidence.attribution
    outside = ~attribution.in_module & ~attribution.in_backward & ~attribution.launched_before_trace
    op = attribution.gpu_op[outside]
    outermost = np.append(evidence.outermost_op, NOBODY)[op]
    kernel = evidence.trace.gpu_events.name[outside]
    name = np.where(op != NOBODY, np.append(attribution.ops.name, NOBODY)[outermost], kernel)
    time = np.bincount(name, evidence.gpu_duration[outside], len(evidence.trace.names))
    is_kernel = {*kernel[op == NOBODY].tolist()}
    worst = [code for code in np.argsort(-time, kind="stable")[:MOST_NAMED].tolist() if time[code]]
    yield Finding(
        id="trace.outside_modules",
        severity="note",
        evidence=N_(
            "{share}% of the GPU time ({time} ms) was launched outside modules, most of it by {ops}",
            share=percent(outside_us / accounting.gpu_time_us),
            time=ms(outside_us),
            ops=[
                _with_share(evidence.trace.names[code], code in is_kernel, time[code] / 10 / outside_us)
                for code in worst
                if float(time[code]) >= 10 * outside_us  # ns and µs: one percent
            ],
        ),
        advice=N_(
            "a loss, an optimizer, a sampler or the loop around the model: "
            "no column of a module holds that time"
        ),
    )


def _with_share(name: str, is_kernel: bool, percentage: float) -> Message:
    share = f"{percentage:.0f}"
    if is_kernel:
        return N_("{kernel} ({share}%)", kernel=name[:LONGEST_NAME], share=share)
    return N_("{name} ({share}%)", name=name[:LONGEST_NAME], share=share)
