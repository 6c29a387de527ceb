"""`Job`: what is said about all ranks of a distributed job; its fields are those of the job's JSON.

Durations are µs (`_us`), bandwidths 10^9 bytes per second (`_gbs`). What is unknown is None, never 0. A rank
is the number of a process in the job, not a position in `Job.ranks`. Nothing here computes.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from tracekit.analysis.schema import Finding
from tracekit.analysis.schema.base import Row
from tracekit.messages import Message

JOB_SCHEMA = "tracekit.job/1"

Cause: TypeAlias = Literal["module", "outside_modules", "waiting_for_host", "earlier_collective"]
"""Where a late rank lost time: in a module's work, in work of no module, while its device had nothing to do
(its host was busy, in the module that is named beside), or before, in a collective of other ranks."""


class RankRow(Row, frozen=True, kw_only=True):
    """One trace. Times are sums over its steps, and over its devices where it has several.

    compute + communication_exposed + copy + idle = wall: communication counts as exposed while nothing is
    computed beside it, copies while neither is. `communication_overlapped_us` comes on top, it is part of
    compute.
    """

    rank: int
    path: str
    host: str | None = None
    device: str | None = None
    device_kind: str | None = None  # "cuda", "hip", "cpu"
    bytes: int
    events: int
    skipped_events: int
    warnings: tuple[Message, ...] = ()
    module_source: str | None = None  # "scopes", "frames", "ranges"
    devices: int = 1
    steps: int
    wall_us: float
    compute_us: float
    communication_exposed_us: float
    communication_overlapped_us: float
    copy_us: float
    idle_us: float
    waiting_us: float | None = None  # in collectives, for later ranks; None: nothing could be matched
    clock_offset_us: float | None = None  # its clock minus that of the first rank; None where unknown


class LostRank(Row, frozen=True, kw_only=True):
    """A trace of which nothing could be made."""

    path: str
    rank: int | None = None
    reason: Message


class RankStep(Row, frozen=True, kw_only=True):
    """A step on one device of one rank, split without remainder as a `RankRow` is."""

    rank: int
    device: int  # the number that the trace gives it
    step: int  # as the profiler numbers it, else the position in the trace
    wall_us: float
    compute_us: float
    communication_exposed_us: float
    communication_overlapped_us: float
    copy_us: float
    idle_us: float


class GroupRow(Row, frozen=True, kw_only=True):
    """A process group."""

    name: str | None = None
    description: str | None = None
    size: int | None = None
    ranks: tuple[int, ...] = ()  # those of its members whose traces took part in a collective of it


class CollectiveRow(Row, frozen=True, kw_only=True):
    """The collectives of one group, operation and size.

    The last rank to arrive waits for nobody: the transfer time is the least duration over the ranks, what
    the others take beyond it they wait.
    """

    group: int  # position in Job.groups
    op: str  # "allreduce", "allgather", …
    dtype: str | None = None
    module: str | None = None  # path of the one that calls most of them; None: no module does
    bytes: int | None = None  # the size S of nccl-tests: of the whole message, on the gathered side
    count: int  # how many there were
    matched: int  # of these, how many were found on several ranks …
    complete: int  # … and on every member of the group
    ranks: int  # on how many ranks at most
    matched_by: Literal["sequence", "order"] | None = None
    duration_us: float  # median over all ranks
    transfer_us: float | None = None  # median
    waiting_us: float | None = None  # sum over all ranks of what they waited
    skew_mean_us: float | None = None  # of the longest wait in each
    skew_max_us: float | None = None
    start_skew_mean_us: float | None = None  # last start − first start, where the ranks share a clock
    algorithm_gbs: float | None = None  # bytes ÷ transfer time
    bus_gbs: float | None = None  # what each link carried: nccl-tests, doc/PERFORMANCE.md


class LatePlace(Row, frozen=True, kw_only=True):
    """What a rank spent more on than the others' median before the collectives to which it came last."""

    cause: Cause
    module: str | None = None  # path
    type: str | None = None
    lost_us: float  # own − others' median, no more than what the others waited
    own_us: float
    others_us: float  # sum of the others' medians


class LateRank(Row, frozen=True, kw_only=True):
    """How often one rank is the last of a collective. Ranks that share no matched collective have no row."""

    rank: int
    collectives: int  # matched ones in which it took part with others
    last: int  # in so many of them it was the last to arrive
    waited_us: float  # sum over the others of what they waited for it
    delay_us: float  # by so much these would have ended earlier, had it come with the last but one
    places: tuple[LatePlace, ...] = ()  # the largest losses first


class Straggler(Row, frozen=True, kw_only=True):
    """A rank that holds the others up noticeably."""

    rank: int
    delay_us: float  # as in its `LateRank`
    share: float  # of the time of all steps
    last_share: float  # of its matched collectives, in how many it was the last
    cause: Cause | None = None
    module: str | None = None
    lost_us: float | None = None  # there


class Spread(Row, frozen=True, kw_only=True):
    """Over the ranks that have something, µs per step."""

    min_us: float
    median_us: float
    mean_us: float
    max_us: float
    min_rank: int
    max_rank: int

    @property
    def imbalance(self) -> float | None:
        """max ÷ mean − 1: by so much the slowest is above a perfect balance."""
        return self.max_us / self.mean_us - 1 if self.mean_us else None


class ModuleSpread(Row, frozen=True, kw_only=True):
    """A module's time on the ranks that ran it: of the device, or on the CPU where there is no device."""

    path: str
    type: str | None = None
    ranks: int  # that ran it: a stage of a pipeline has modules of its own
    total: Spread  # with its children, backward too
    own: Spread  # without its children


class HeatMap(Row, frozen=True, kw_only=True):
    """Rank × time: percent of each bin, a row per rank as in `ranks`; the four of a bin make up 100.

    Time is that of the first rank's clock, from the earliest start on; None where a rank has no record of a
    bin.
    """

    bin_us: float
    bins: int
    ranks: tuple[int, ...]
    compute: tuple[tuple[int | None, ...], ...]
    communication: tuple[tuple[int | None, ...], ...]  # exposed
    copy: tuple[tuple[int | None, ...], ...]
    idle: tuple[tuple[int | None, ...], ...]


class JobTime(Row, frozen=True, kw_only=True):
    """Of a step: medians over the ranks of each rank's mean over its steps and devices."""

    steps: int  # least over the ranks
    wall_us: float
    compute_us: float
    communication_exposed_us: float
    communication_overlapped_us: float
    copy_us: float
    idle_us: float
    waiting_us: float | None = None  # of the exposed or overlapped communication, for late ranks


class Job(Row, frozen=True, kw_only=True):
    schema: str = JOB_SCHEMA
    world_size: int | None = None
    missing_ranks: tuple[int, ...] = ()  # of the world, those without a trace
    step_source: str | None = None  # "steps" of the profiler, "passes", "trace"; None where ranks differ
    ranks: tuple[RankRow, ...]
    lost: tuple[LostRank, ...] = ()
    time: JobTime | None = None  # None without ranks
    steps: tuple[RankStep, ...] = ()
    groups: tuple[GroupRow, ...] = ()
    collectives: tuple[CollectiveRow, ...] = ()
    late: tuple[LateRank, ...] = ()  # by rank
    stragglers: tuple[Straggler, ...] = ()  # the worst first
    modules: tuple[ModuleSpread, ...] = ()  # by the order of the model
    heat_map: HeatMap | None = None
    findings: tuple[Finding, ...] = ()
    notes: tuple[Message, ...] = ()  # how it was worked out, and what could not be
