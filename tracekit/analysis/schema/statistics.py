"""What a comparison of two reports needs beside their tables: spread over passes, and who launched what."""

from __future__ import annotations

from tracekit.analysis.schema.base import Row


class PassStatistics(Row, frozen=True):
    """Mean, median and spread of a quantity of each row of a table, over passes of a phase without outliers.

    A pass is here all that it causes: its forward, the backward that differentiates this, and what is outside
    of modules up to the next pass, such as the optimizer. So the means of `modules` (both quantities of a
    device) and of `outside` add up to that of `passes`, and so do those of `kernels`, and of `ops` with what
    has no op. What was launched before the trace, or before the first of several passes, is in none. A trace
    without passes is taken for one.

    `table` is "modules", "ops" or "kernels", whose rows are named by their position there; "passes" has the
    one row 0, and "outside" 0 for what is outside of modules and 1 for what was launched before a trace
    without passes. Quantities of `passes` are "wall", "latency" (without the profiler), "gpu_time",
    "gpu_idle" and "cpu_time"; those of the others "gpu_self", "gpu_backward_self", "cpu_self" and
    "cpu_backward_self": self times as in the tables, the backward ones of modules alone. Rows that are not
    listed are 0 in every pass.

    CPU time is that of modules and, where there are no GPU events, of ops outside of them.

    "left_out" is no table of passes but the GPU time of the whole trace that none of these has: row 0 was
    launched before the trace, 1 before the first pass, and 2 is that of the passes that are outliers.
    """

    phase: str | None
    table: str
    quantity: str
    passes: int  # how many these are of
    row: tuple[int, ...]
    mean_us: tuple[float, ...]
    median_us: tuple[float, ...]
    std_us: tuple[float, ...] | None  # of a sample (n - 1); None where there is one pass


class KernelUse(Row, frozen=True):
    """Which kernels the rows of a table launched, over the whole trace, as columns of one length.

    A module's are those that its own code launched, and those of the backward of that.
    """

    row: tuple[int, ...] = ()
    kernel: tuple[int, ...] = ()  # position in `Report.kernels`
    calls: tuple[int, ...] = ()
    gpu_time_us: tuple[float, ...] = ()
