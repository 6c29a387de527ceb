"""Rules about the device and the figures of it that percentages stand on, and about counts of FLOPs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracekit.analysis.schema import Accounting, Device, Finding, Flops, PhaseRow, Telemetry
from tracekit.messages import N_

# Below this share of the GPU time in ops with matrix FLOPs, the FLOPs are likely a small part of the truth.
LEAST_COSTED_SHARE = 0.1
# Ours may be below torch's count of FLOPs by this share before it is said.
COUNT_TOLERANCE = 0.01
# Below this share of the greatest clock the device was held back, or its clock was.
LEAST_CLOCK_SHARE = 0.9


def doubtful_figures(device: Device, accounting: Accounting, flops: Flops) -> Iterator[Finding]:
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
                "operators with known matrix FLOPs launched {share}% of the GPU time",
                share=f"{flops.matrix_gpu_time_us / launched_us * 100:.2g}",
            ),
            advice=N_(
                "take the FLOPs of a pass for a lower bound: what the rest computes is not in the trace"
            ),
        )


def uncounted(flops: Flops, phases: Sequence[PhaseRow]) -> Iterator[Finding]:
    """Passes with fewer FLOPs than torch counted: of an operator without a formula, or without shapes."""
    for row in phases if flops.source == "shapes" else ():
        ours, counted = row.matrix_flops, row.counted_flops
        if ours is not None and counted and ours < (1 - COUNT_TOLERANCE) * counted:
            yield Finding(
                id="flops.below_counter",
                severity="low",
                evidence=N_(
                    "operators of the trace give {share}% of the matrix FLOPs that "
                    "torch.utils.flop_counter counted in a pass ({phase})",
                    share=f"{ours / counted * 100:.3g}",
                    phase=row.name,
                ),
                advice=N_(
                    "take FLOPs and efficiency for lower bounds: custom, compiled or graphed operators "
                    "do not show what they compute"
                ),
            )


def throttled(telemetry: Telemetry | None) -> Iterator[Finding]:
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
