"""`GateResult`: what is gated, what became of it, and why. Nothing here computes."""

from __future__ import annotations

from tracekit.analysis.schema.base import Row
from tracekit.messages import Message

METRICS = ("gpu_time", "latency", "idle", "memory", "cpu_time")


class Limits(Row, frozen=True, kw_only=True):
    """What may grow by how much.

    `max_regression` is a share: 0.05 for 5%. `modules` are patterns (`fnmatch`, case matters, `*` matches
    dots too) of module paths: with any, GPU and CPU time are gated of the modules that match them and of all
    below these, each pattern as one sum; without, of whole passes. `level` is how often a gate without any
    regression may fail, over all of its checks together.
    """

    max_regression: float
    metrics: tuple[str, ...] | None = None  # None: GPU time; where neither side has a GPU, CPU time
    modules: tuple[str, ...] = ()
    level: float = 0.05
    allow_different_models: bool = False


class Check(Row, frozen=True, kw_only=True):
    """One metric of one phase, of whole passes or of the modules of one pattern.

    `verdict` is "pass", "fail", or "unknown" where it cannot be judged; `reason` says why.
    """

    metric: str  # of METRICS
    phase: str | None
    module: str | None  # the pattern; None: whole passes
    unit: str  # "us", "bytes"
    before: float | None  # mean over passes
    after: float | None
    limit: float | None  # before × (1 + the most it may grow)
    change: float | None  # (after − before) ÷ before
    change_low: float | None  # its confidence interval; None: unknown, or without an end on that side
    change_high: float | None
    p_value: float | None  # times the number of tests; None where there is no noise, or it is unknown
    passes_before: int | None
    passes_after: int | None
    verdict: str
    reason: Message


class GateResult(Row, frozen=True, kw_only=True):
    """`verdict`: "fail" where a check fails, else "unknown" where one cannot be judged, else "pass"."""

    before: str  # path of the trace
    after: str
    limits: Limits
    tests: int  # how many checks were tested against noise: each at `level` ÷ this
    confidence: float  # of the intervals: 1 − 2 × level ÷ tests
    verdict: str
    checks: tuple[Check, ...]
    notes: tuple[Message, ...]  # what to know before trusting it
