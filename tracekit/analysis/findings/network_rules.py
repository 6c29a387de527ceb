"""Rules about collectives: how much of the GPU time they are, and how much of that nothing else hides."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tracekit.analysis.busy import occupancy
from tracekit.analysis.findings.evidence import Evidence
from tracekit.analysis.findings.figures import ms, percent
from tracekit.analysis.op_costs import gpu_events_named
from tracekit.analysis.schema import Finding
from tracekit.messages import N_

# Kernels of NCCL and RCCL, and of the all-reduces that inference engines have of their own.
COLLECTIVE_KERNEL = re.compile(
    r"nccl|rccl|cross_device_reduce|all_?reduce|all_?gather|reduce_?scatter", re.IGNORECASE
)
LEAST_SHARE = 0.05


def network_time(evidence: Evidence) -> Iterator[Finding]:
    """Collectives with a noticeable share of the GPU time; the gain is what no computation runs beside.

    A kernel of a collective also waits for the other ranks: what it takes is not all the network's.
    """
    events = evidence.trace.gpu_events
    own = gpu_events_named(COLLECTIVE_KERNEL, evidence.trace)
    time, whole = int(evidence.gpu_duration[own].sum()), int(evidence.gpu_duration.sum())
    if not whole or time < LEAST_SHARE * whole:
        return
    busy = occupancy(events.start, events.end, events.device).busy
    without = occupancy(events.start[~own], events.end[~own], events.device[~own]).busy
    # Those of passes before the trace are no part of those in it.
    rest = ~(own & ~evidence.attribution.launched_before_trace)
    of_passes = busy - occupancy(events.start[rest], events.end[rest], events.device[rest]).busy
    exposed = evidence.per_pass_us(of_passes)
    yield Finding(
        id="network.time",
        severity=evidence.severity(exposed),
        evidence=N_(
            "collectives take {share}% of the GPU time ({time} ms over the whole trace); "
            "during {exposed} ms of it nothing else runs",
            share=percent(time / whole),
            time=ms(time / 1000),
            exposed=ms((busy - without) / 1000),
        ),
        gain_us=exposed,
        advice=N_(
            "overlap them with computation (larger buckets, earlier launches, another stream); "
            "a rank that is late lets all others wait in them"
        ),
    )
