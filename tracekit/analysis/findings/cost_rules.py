"""Rules about costs: formulas that are missing, lengths that no trace records, bounds that are beaten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from tracekit.analysis.findings.figures import megabytes, ms, percent
from tracekit.analysis.schema import Finding, OpRow, Report, UncostedRow
from tracekit.costs import Cost, is_partial
from tracekit.messages import N_, Message

# From this share of the GPU time of ops with shapes on, what has no cost is worth a formula.
LEAST_UNKNOWN_SHARE = 0.02
# From this share of the GPU time on, what no op with shapes launched is worth a word.
LEAST_HIDDEN_SHARE = 0.1
LONGEST_NAME = 1000  # renderers shorten names
# By how much a bound is beaten before it is said: clocks of a trace have a resolution too.
TOLERANCE = 1.02
MOST_NAMED = 3


def not_loaded(reasons: Sequence[Message]) -> Iterator[Finding]:
    for reason in reasons:
        yield Finding(
            id="costs.not_loaded",
            severity="medium",
            evidence=reason,
            advice=N_("mend or remove that package: operators that it knows have no cost here"),
        )


def unknown_costs(report: Report) -> Iterator[Finding]:
    """Ops with shapes and without a cost; and what was launched by no op, or by one without shapes."""
    covered = report.flops.covered_gpu_time_share
    if covered is not None and 1 - covered >= LEAST_UNKNOWN_SHARE:
        names = _worst(report, ("no_formula", "formula_lacks_inputs"), lambda row: row.op)
        yield Finding(
            id="costs.unknown",
            severity="low",
            evidence=N_(
                "{share}% of the GPU time of operators with shapes has no known cost, most of it of {names}",
                share=percent(1 - covered),
                names=names,
            ),
            advice=N_("give them a formula: tracekit.costs.register, in a file for --costs"),
        )
    hidden = ("no_op", "no_shapes")
    launched_us = report.accounting.gpu_time_us - report.accounting.launched_before_trace.us
    time_us = sum(row.gpu_time_us for row in report.uncosted if row.reason in hidden)
    if covered is not None and time_us >= LEAST_HIDDEN_SHARE * launched_us:
        yield Finding(
            id="costs.hidden",
            severity="low",
            evidence=N_(
                "{share}% of the GPU time is of kernels that no operator with shapes launched, "
                "most of it of {kernels}",
                share=percent(time_us / launched_us),
                kernels=_worst(report, hidden, lambda row: row.kernel),
            ),
            advice=N_(
                "custom kernels without an operator, CUDA graphs and compiled regions hide what they "
                "compute: capture them eagerly for FLOPs and bounds"
            ),
        )


def _worst(report: Report, reasons: Sequence[str], name: Callable[[UncostedRow], str | None]) -> list[str]:
    """The names with most GPU time without a cost for one of these reasons; of endless ones the beginning."""
    times: dict[str, float] = defaultdict(float)
    for row in report.uncosted:
        if row.reason in reasons and (text := name(row)):
            times[text] += row.gpu_time_us
    return [text[:LONGEST_NAME] for text in sorted(times, key=lambda text: -times[text])[:MOST_NAMED]]


def unknown_lengths(report: Report) -> Iterator[Finding]:
    """Attention over sequences whose lengths are values of a tensor."""
    own = [
        row
        for row in report.ops
        if row.gpu_time_us and row.matrix_flops == 0 and is_partial(row.name, Cost(matrix=0))
    ]
    if own:
        yield Finding(
            id="flops.unknown_lengths",
            severity="note",
            evidence=N_(
                "{names}: {time} ms of attention whose sequence lengths a trace does not record",
                names=list(dict.fromkeys(row.name for row in own))[:MOST_NAMED],
                time=ms(sum(row.gpu_time_us for row in own)),
            ),
            advice=N_("its FLOPs are in no sum here, and it has no bound"),
        )


def beaten_bounds(report: Report) -> Iterator[Finding]:
    """Ops faster than the device's memory, whose data were nearer, or than its peak, which cannot be."""
    beaten = [row for row in report.ops if row.bound_share is not None and row.bound_share > TOLERANCE]
    by_memory = [row for row in beaten if not _is_compute_bound(row, report)]
    by_compute = [row for row in beaten if _is_compute_bound(row, report)]
    if by_memory:
        worst = _longest(by_memory)
        yield Finding(
            id="bound.beaten",
            severity="note",
            evidence=N_(
                "operators faster than the device's memory: {count}, {time} ms in all; the longest is "
                "{name}: {share}% of the bound, {size} MB a call",
                count=len(by_memory),
                time=ms(sum(row.gpu_time_us for row in by_memory)),
                name=worst.name,
                share=percent(worst.bound_share or 0.0),
                size=megabytes((worst.bytes or 0) / max(1, worst.calls)),
            ),
            advice=N_("their data were in a cache or never left the chip: nothing is to be won there"),
        )
    if by_compute:
        worst = _longest(by_compute)
        yield Finding(
            id="bound.peak_exceeded",
            severity="medium",
            evidence=N_(
                "operators faster than the device's peak: {count}; the longest is {name}: {share}% of it",
                count=len(by_compute),
                name=worst.name,
                share=percent(worst.bound_share or 0.0),
            ),
            advice=N_("the figures are not those of this device, or the clocks were above its full clock"),
        )


def _is_compute_bound(row: OpRow, report: Report) -> bool:
    memory_us = (row.bytes or 0) / report.device.bandwidth_gbs / 1e3 if report.device.bandwidth_gbs else 0.0
    return (row.bound_us or 0.0) > TOLERANCE * memory_us


def _longest(rows: Sequence[OpRow]) -> OpRow:
    return max(rows, key=lambda row: row.gpu_time_us)
