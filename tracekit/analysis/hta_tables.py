"""HTA's breakdowns of GPU time for the report, where HTA is installed.

It computes them row by row in Python, about 8 µs for each GPU event, and importing it takes a second; so
nobody gets them who did not ask.
"""

from __future__ import annotations

import math
from typing import Any

from tracekit import hta
from tracekit.analysis.schema import Hta, HtaIdle, HtaRank
from tracekit.messages import N_
from tracekit.trace import Trace

MOST_GPU_EVENTS = 500_000  # that are looked at by the way
KERNEL_DELAY_US = 30  # HTA's default for what it calls a delay between kernels
REASON_CHARACTERS = 200


def hta_breakdowns(trace: Trace, wanted: bool | None) -> Hta | None:
    """The tables, or why there are none; None where they are not wanted or would be empty.

    `wanted` None: where HTA is installed, and the trace not so large that one would wait for it. Whatever
    goes wrong in HTA becomes the note.
    """
    if wanted is False or not len(trace.gpu_events) or (wanted is None and not hta.is_installed()):
        return None
    if wanted is None and len(trace.gpu_events) > MOST_GPU_EVENTS:
        return Hta(
            note=N_(
                "with {count} GPU events it would take long; tracekit.analyze(…, hta=True) waits for it",
                count=len(trace.gpu_events),
            )
        )
    try:
        return _tables(trace)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"[:REASON_CHARACTERS]
        return Hta(note=N_("Holistic Trace Analysis failed on this trace ({reason})", reason=reason))


def _tables(trace: Trace) -> Hta:
    with hta.quiet():
        converted = hta.to_trace(trace, exact_times=True, gpu_only=True)
        from hta.analyzers.breakdown_analysis import BreakdownAnalysis
        from hta.analyzers.communication_analysis import CommunicationAnalysis

        (rank,) = converted.traces
        times = BreakdownAnalysis.get_temporal_breakdown(converted, visualize=False).iloc[0]
        overlap = CommunicationAnalysis.get_comm_comp_overlap(converted, visualize=False).iloc[0]
        idle, _ = BreakdownAnalysis.get_idle_time_breakdown(
            converted, KERNEL_DELAY_US, rank, visualize=False, visualize_pctg=False
        )
    return Hta(
        ranks=(
            HtaRank(
                rank=rank,
                span_us=float(times["kernel_time(us)"]),
                idle_us=float(times["idle_time(us)"]),
                compute_us=float(times["compute_time(us)"]),
                non_compute_us=float(times["non_compute_time(us)"]),
                overlap_share=_share(overlap["comp_comm_overlap_pctg"] / 100),
            ),
        ),
        idle=tuple(
            HtaIdle(
                rank, int(row.stream), row.idle_category, float(row.idle_time), _share(row.idle_time_ratio)
            )
            for row in idle.itertuples()
        ),
    )


def _share(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
