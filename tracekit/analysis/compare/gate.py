"""`gate`: has anything become slower, or larger, than a limit allows, beyond what passes vary?

Reads the statistics of two reports and decides; it reads no file and writes none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

import msgspec

from tracekit.analysis.compare.gate_schema import METRICS, Check, GateResult, Limits
from tracekit.analysis.compare.noise import CPU_TIME, GPU_TIME, Sample, summed
from tracekit.analysis.compare.regression import growth_interval, p_value
from tracekit.analysis.compare.sides import BACKWARD, FORWARD, Passes, phases_of
from tracekit.analysis.compare.summary import differences_of, notes_of_passes
from tracekit.analysis.schema import Report
from tracekit.messages import N_, Message, UserError

_OF_PASSES = {"gpu_time": GPU_TIME, "latency": "latency", "idle": "gpu_idle", "cpu_time": CPU_TIME}
_OF_MODULES = (GPU_TIME, CPU_TIME)
_NEED_GPU = ("gpu_time", "idle")
_ROUNDING = 1e-9  # what equals the limit but for the last digits is not above it
_SAME_MODEL = ("class_", "parameters", "hidden_size", "num_blocks")
_SIDES = (N_("the baseline"), N_("the trace"))


class _Measured(NamedTuple):
    """What is to be judged; `problem` says why a value is missing."""

    metric: str
    phase: str | None
    module: str | None
    before: float | None
    after: float | None
    samples: tuple[Sample, Sample] | None  # that the values are the means of; None where there is no noise
    problem: Message | None = None


def gate(before: Report, after: Report, limits: Limits) -> GateResult:
    """One check for each metric, phase and pattern of modules.

    A check fails where the mean after is above before × (1 + `limits.max_regression`), and that beyond noise:
    `p_value` of that limit, times the number of tests (Bonferroni's correction, so that the intervals, which
    are of the same level, and the verdicts say the same), is below `limits.level`. Where there is one pass on
    each side noise is unknown, and of memory there is none: there the limit alone decides. Where the median
    stays within the limit, a few passes were disturbed, which fails nothing.

    Time of a pattern of modules is the sum of the self times, backward included, of every module that
    matches and of all below one, each counted once. Its spread is bounded by the sum of their spreads, which
    is reached where they vary together: so a sum must grow more clearly than it may be needed to fail.

    Raises `UserError` for limits that make no sense, and for two different models unless that is allowed.
    """
    check_limits(limits)
    limits = msgspec.structs.replace(limits, metrics=_metrics(before, after, limits))
    if not limits.allow_different_models:
        _refuse_different_models(before, after)
    reports = (before, after)
    measured = list(_measured(reports, limits))
    p_values = [_p_value(one, limits) for one in measured]
    tests = sum(one is not None for one in p_values)
    level = limits.level / max(1, tests)
    checks = tuple(
        _check(one, limits, level, None if p is None else min(1.0, p * tests))
        for one, p in zip(measured, p_values, strict=True)
    )
    verdicts = {one.verdict for one in checks}
    return GateResult(
        before=before.trace.path,
        after=after.trace.path,
        limits=limits,
        tests=tests,
        confidence=1 - 2 * level,
        verdict="fail" if "fail" in verdicts else "unknown" if "unknown" in verdicts else "pass",
        checks=checks,
        notes=tuple(_notes(reports, limits)),
    )


def _metrics(before: Report, after: Report, limits: Limits) -> tuple[str, ...]:
    """Those that are named; else the time of what ran the model."""
    if limits.metrics is not None:
        return limits.metrics
    on_gpu = any(one.accounting.gpu_events for one in (before, after))
    return ("gpu_time",) if on_gpu else ("cpu_time",)


def check_limits(limits: Limits) -> None:
    """Raises `UserError` for what makes no sense, which can be told before a file is read."""
    if unknown := [name for name in limits.metrics or () if name not in METRICS]:
        known = ", ".join(METRICS)
        raise UserError(N_("metric {name} is not known; use of: {known}", name=unknown[0], known=known))
    if limits.metrics == ():
        raise UserError(N_("nothing to gate: name a metric of {known}", known=", ".join(METRICS)))
    if not (math.isfinite(limits.max_regression) and limits.max_regression >= 0):
        raise UserError(N_("the most that something may grow is a share from 0 on, such as 5% or 0.05"))
    if not 0 < limits.level < 0.5:
        raise UserError(N_("the level is a probability between 0 and 0.5, such as 0.05"))


def _refuse_different_models(before: Report, after: Report) -> None:
    known = [
        (name.rstrip("_"), values)
        for name in _SAME_MODEL
        if None not in (values := (getattr(before.model, name), getattr(after.model, name)))
    ]
    # A name may be a path, which differs from machine to machine: it counts where nothing better is known.
    if not any(name in ("class", "parameters") for name, _values in known):
        names = (before.model.name, after.model.name)
        known += [("name", names)] if None not in names else []
    for name, (one, other) in known:
        if one != other:
            raise UserError(
                N_(
                    "the models differ ({field}: {before} in the baseline, {after} in the trace); "
                    "--allow-different-models gates them all the same",
                    field=name,
                    before=_shown(one),
                    after=_shown(other),
                )
            )


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _measured(reports: tuple[Report, Report], limits: Limits) -> Iterator[_Measured]:
    for metric in dict.fromkeys(limits.metrics or ()):
        if metric == "memory":
            yield _memory(reports)
            continue
        patterns = tuple(dict.fromkeys(limits.modules)) if metric in _OF_MODULES else ()
        for pattern in patterns or (None,):
            yield from _times(reports, metric, pattern)


def _memory(reports: tuple[Report, Report]) -> _Measured:
    peaks = [report.memory.peak_allocated_bytes for report in reports]
    problem = None
    if None in peaks:
        problem = N_(
            "{side} has no peak of memory in it: take it with `tracekit capture` on a GPU, "
            "which measures that",
            side=_SIDES[peaks.index(None)],
        )
    return _Measured("memory", None, None, peaks[0], peaks[1], None, problem)


def _times(reports: tuple[Report, Report], metric: str, pattern: str | None) -> Iterator[_Measured]:
    """A metric of each phase, of the modules of one pattern or of whole passes."""
    rows = tuple(None if pattern is None else _below(report, pattern) for report in reports)
    for side, found in zip(_SIDES, rows, strict=True):
        if found is not None and not found:
            missing = N_("{side} has no module that matches `{pattern}`", side=side, pattern=pattern)
            yield _Measured(metric, None, pattern, None, None, None, missing)
            return
    by_phase = [_samples(report, metric, found) for report, found in zip(reports, rows, strict=True)]
    for phase, (before, after) in _paired(*by_phase):
        if before is not None and after is not None:
            yield _Measured(metric, phase, pattern, before.mean_us, after.mean_us, (before, after))
            continue
        lacking = 0 if before is None else 1
        problem = _why_unknown(reports[lacking], _SIDES[lacking], metric, phase)
        known = (None if before is None else before.mean_us, None if after is None else after.mean_us)
        yield _Measured(metric, phase, pattern, known[0], known[1], None, problem)


def _below(report: Report, pattern: str) -> frozenset[int]:
    """Positions in the table of modules of those that match, and of all below them."""
    children: dict[str, list[int]] = {}
    for row, module in enumerate(report.modules):
        if module.parent is not None:
            children.setdefault(module.parent, []).append(row)
    waiting = [row for row, module in enumerate(report.modules) if fnmatchcase(module.path, pattern)]
    found: set[int] = set()
    while waiting:
        row = waiting.pop()
        if row not in found:
            found.add(row)
            waiting += children.get(report.modules[row].path, ())
    return frozenset(found)


def _samples(report: Report, metric: str, rows: frozenset[int] | None) -> dict[str | None, Sample]:
    """By phase; without those that the report does not have."""
    if metric in _NEED_GPU and not report.accounting.gpu_events:
        return {}
    found: dict[str | None, Sample] = {}
    for phase in phases_of(report):
        passes = Passes(report, phase, metric)
        of_pass = passes.of_pass(_OF_PASSES[metric])
        if rows is not None:
            halves = (passes.sum_of("modules", side[metric], rows) for side in (FORWARD, BACKWARD))
            found[phase] = summed(halves, passes.count)
        elif of_pass is not None:
            found[phase] = of_pass
    return found


def _paired(
    before: dict[str | None, Sample], after: dict[str | None, Sample]
) -> Iterator[tuple[str | None, tuple[Sample | None, Sample | None]]]:
    """Samples of the same phase; of a trace that names no phases all is the only phase of the other."""
    if len(before) == len(after) == 1 and None in (*before, *after):
        (first,), (second,) = before.items(), after.items()
        yield first[0] or second[0], (first[1], second[1])
        return
    for phase in dict.fromkeys((*before, *after)) or (None,):
        yield phase, (before.get(phase), after.get(phase))


def _why_unknown(report: Report, side: Message, metric: str, phase: str | None) -> Message:
    if metric in _NEED_GPU and not report.accounting.gpu_events:
        return N_("{side} has no GPU events; the metric cpu_time is the time of the host", side=side)
    if metric == "latency":
        return N_(
            "{side} has no latency in it (a pass without the profiler): take it with `tracekit capture`, "
            "which measures that",
            side=side,
        )
    if not report.passes:
        return N_("{side} has no passes", side=side)
    if phase is None:
        return N_("{side} has no passes without a phase", side=side)
    return N_("{side} has no passes of the phase {phase}", side=side, phase=phase)


def _p_value(measured: _Measured, limits: Limits) -> float | None:
    return None if measured.samples is None else p_value(*measured.samples, 1 + limits.max_regression)


def _check(measured: _Measured, limits: Limits, level: float, p: float | None) -> Check:
    """`level` is that of one test, `p` is corrected for their number."""
    before, after = measured.before, measured.after
    limit = None if before is None else before * (1 + limits.max_regression)
    change: float | None = None
    if before is not None and after is not None:
        change = after / before - 1 if before > 0 else 0.0 if not after else None
    interval: tuple[float | None, float | None] = (None, None)
    passes: tuple[int | None, int | None] = (None, None)
    if measured.samples is not None:
        interval = growth_interval(*measured.samples, level)
        passes = (measured.samples[0].passes, measured.samples[1].passes)
    verdict, reason = _verdict(measured, limit, limits, p)
    return Check(
        metric=measured.metric,
        phase=measured.phase,
        module=measured.module,
        unit="bytes" if measured.metric == "memory" else "us",
        before=before,
        after=after,
        limit=limit,
        change=change,
        change_low=interval[0],
        change_high=interval[1],
        p_value=p,
        passes_before=passes[0],
        passes_after=passes[1],
        verdict=verdict,
        reason=reason,
    )


def _verdict(
    measured: _Measured, limit: float | None, limits: Limits, p: float | None
) -> tuple[str, Message]:
    if measured.after is None or limit is None:
        return "unknown", measured.problem or N_("there is nothing to judge")
    is_above = measured.after > limit * (1 + _ROUNDING)
    if measured.samples is None:
        return ("fail", N_("above the limit")) if is_above else ("pass", N_("within the limit"))
    if p is None:
        return (
            ("fail", N_("above the limit; with one pass each, noise is unknown and the limit alone decides"))
            if is_above
            else ("pass", N_("within the limit; with one pass each, noise is unknown"))
        )
    if not is_above:
        return "pass", N_("within the limit")
    medians = measured.samples[0].median_us, measured.samples[1].median_us
    if medians[1] <= medians[0] * (1 + limits.max_regression) * (1 + _ROUNDING):
        return "pass", N_("above the limit, but the median pass is not: some passes were disturbed")
    if p < limits.level:
        return "fail", N_("above the limit beyond noise (p = {p:.2g})", p=p)
    return "pass", N_("above the limit, but within noise (p = {p:.2g}): more passes would tell", p=p)


def _notes(reports: tuple[Report, Report], limits: Limits) -> Iterator[Message]:
    for one in differences_of(*reports):
        # A name may be a path, which differs from machine to machine.
        if None not in (one.before, one.after) and one.field != "model.name":
            yield N_(
                "{field} differs: {before} in the baseline, {after} in the trace",
                field=one.field,
                before=one.before,
                after=one.after,
            )
    yield from notes_of_passes(*reports)
    for pattern in dict.fromkeys(limits.modules):
        matches = [sum(fnmatchcase(row.path, pattern) for row in report.modules) for report in reports]
        if 0 < min(matches) < max(matches):
            yield N_(
                "`{pattern}` matches {before} modules of the baseline and {after} of the trace",
                pattern=pattern,
                before=matches[0],
                after=matches[1],
            )
