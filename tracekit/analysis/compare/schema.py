"""`Comparison`: the value that `compare` makes and that its renderers read; its fields are the JSON's.

Durations are µs of one pass, the mean over the passes that are compared. Differences are after − before. What
is unknown is None, never 0. Nothing here computes.
"""

from __future__ import annotations

from tracekit.analysis.schema.base import Row
from tracekit.messages import Message

SCHEMA = "tracekit.comparison/1"


class Side(Row, frozen=True):
    """One of the two reports."""

    path: str
    device: str | None
    model: str | None
    passes: int
    module_source: str | None  # "scopes", "frames", "ranges", None


class Difference(Row, frozen=True):
    """What the two were taken of and on, where that differs: a field of the report, such as `model.dtype`."""

    field: str
    before: str | None
    after: str | None


class Method(Row, frozen=True):
    """How a change is told from noise.

    A row is slower or faster where its difference exceeds `margin` × before, or `least_us`, whichever is
    more, in the mean and in the median, and by more than the passes vary: that it does not is the null
    hypothesis of the test, whose p-values are corrected for the number of rows. Where one side has one pass,
    that is taken to vary as the passes of the other side do. The spread of several rows together is taken for
    the sum of theirs: it is no more.
    """

    test: str  # "Welch's t-test"
    function: str  # "scipy.stats.ttest_ind_from_stats"
    correction: str  # "Benjamini–Hochberg", over the rows of all tables together
    correction_function: str  # "scipy.stats.false_discovery_control"
    level: float
    margin: float
    least_us: float


class Change(Row, frozen=True, kw_only=True):
    """One quantity before and after.

    `verdict` is "slower" or "faster" beyond noise, "same" within it, "unknown" where there is one pass each
    and so no spread, "appeared" or "vanished" where only one side has it.
    """

    before_us: float | None  # None: it is not there
    after_us: float | None
    difference_us: float
    relative: float | None  # difference ÷ before
    share: float | None  # of the difference of the totals; None where these do not differ
    p_value: float | None  # corrected; None where the noise is unknown, or on one side alone
    verdict: str


class PhaseChange(Row, frozen=True):
    """The passes of one phase, which are those of `before_phase` and `after_phase` where the names differ.

    `phase` is then None, and so it is in all rows of this phase, of which there is no other.
    """

    phase: str | None
    before_phase: str | None
    after_phase: str | None
    passes_before: int
    passes_after: int
    total: Change  # of the compared quantity: what the rows of this phase add up to
    wall: Change | None = None
    latency: Change | None = None  # without the profiler
    gpu_idle: Change | None = None
    explained_by: tuple[int, ...] = ()  # positions in `places`: the few that make most of all changes
    explained_share: float | None = None  # of the difference of the totals, what these add up to


class ModuleChange(Change, frozen=True, kw_only=True):
    """Self time of one module's forward, of its backward, or of what is in no module; these add up.

    `key` is what the two were aligned by. `inclusive_` times are with all that is below it.
    """

    phase: str | None
    kind: str  # "modules", "modules_backward", "outside_modules", "launched_before_trace"
    key: str
    path_before: str | None
    path_after: str | None
    type_before: str | None
    type_after: str | None
    place: str  # its key with `*` for the numbers of layers
    folded: bool = False  # with all below it, since one side knows nothing there (compiled, say)
    inclusive_before_us: float | None = None
    inclusive_after_us: float | None = None
    inclusive_difference_us: float = 0.0
    kernels_before: tuple[str, ...] = ()  # those with most time first
    kernels_after: tuple[str, ...] = ()
    kernels_changed: bool = False


class PlaceChange(Change, frozen=True, kw_only=True):
    """Modules that are alike, those of one place in all layers, together."""

    phase: str | None
    kind: str
    place: str
    type: str | None
    modules_before: int
    modules_after: int
    kernels_changed: bool = False


class TypeChange(Change, frozen=True, kw_only=True):
    phase: str | None
    kind: str
    type: str
    modules_before: int
    modules_after: int


class OpChange(Change, frozen=True, kw_only=True):
    """Self time of an op with its shapes; a row without a name is what is in no op.

    Where no op has these shapes on the other side, it is aligned with the only one of its name that stands at
    the same place of the model.
    """

    phase: str | None
    name: str | None
    shapes: str | None
    dtypes: str | None
    shapes_after: str | None = None  # where they differ
    dtypes_after: str | None = None
    kernels_before: tuple[str, ...] = ()
    kernels_after: tuple[str, ...] = ()
    kernels_changed: bool = False


class KernelChange(Change, frozen=True, kw_only=True):
    phase: str | None
    name: str
    kind: str  # "kernel", "memcpy", "memset"


class LeftOut(Row, frozen=True):
    """GPU time of the whole traces that is in no pass, or in one that takes far longer than the others."""

    kind: str  # "launched_before_trace", "before_first_pass", "outlier_passes"
    before_us: float
    after_us: float


class Comparison(Row, frozen=True, kw_only=True):
    schema: str = SCHEMA
    before: Side
    after: Side
    quantity: str  # "gpu_time"; "cpu_time" where one side has no GPU events
    method: Method
    summary: tuple[Message, ...]  # the headline first
    notes: tuple[Message, ...]  # what to know before trusting the figures
    differences: tuple[Difference, ...]
    phases: tuple[PhaseChange, ...]
    places: tuple[PlaceChange, ...]  # of each table, those with the largest difference first
    modules: tuple[ModuleChange, ...]
    types: tuple[TypeChange, ...]
    ops: tuple[OpChange, ...]
    kernels: tuple[KernelChange, ...]
    left_out: tuple[LeftOut, ...]
