"""What Holistic Trace Analysis says of a trace, in the words of its own tables."""

from __future__ import annotations

from tracekit.analysis.schema.base import Row
from tracekit.messages import Message


class HtaRank(Row, frozen=True):
    """`get_temporal_breakdown` and `get_comm_comp_overlap` of one rank.

    Computing, the rest and idle add up to the span, from the first GPU event to the end of the last.
    """

    rank: int
    span_us: float
    idle_us: float  # nothing runs on any stream
    compute_us: float  # a kernel that computes runs, whatever else does
    non_compute_us: float  # communication or copies alone
    overlap_share: float | None  # of the communication, while which computing goes on; None without any


class HtaIdle(Row, frozen=True):
    """`get_idle_time_breakdown`: the gaps between the GPU events of one stream that have one cause."""

    rank: int
    stream: int
    # "host_wait": the next event was launched only after the one before had ended; "kernel_wait": of the
    # other gaps those below 30 µs; "other"
    cause: str
    idle_us: float
    idle_share: float | None  # of all gaps of the stream; None where there are none


class Hta(Row, frozen=True):
    """As HTA has it: of several `ProfilerStep` without the last, and without what is launched outside."""

    ranks: tuple[HtaRank, ...] = ()
    idle: tuple[HtaIdle, ...] = ()
    note: Message | None = None  # why there are no rows
