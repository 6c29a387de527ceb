"""What a reader of the report must know or could change: rules that fire on evidence only.

A rule is a function that yields findings; those of one subject stand in one module. Rules about the trace
itself are handed `Evidence`, the others rows of the report.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import msgspec

from tracekit.analysis.findings import cost_rules, device_rules, pass_rules, trace_rules
from tracekit.analysis.findings.attention_rules import attention_calls, materialised_attention
from tracekit.analysis.findings.chain_rules import elementwise_chains
from tracekit.analysis.findings.copy_rules import undone_casts
from tracekit.analysis.findings.evidence import Evidence
from tracekit.analysis.findings.gemm_rules import Gemms, fp32_gemms, misaligned_gemms, tiny_gemms
from tracekit.analysis.findings.idle_rules import slow_launches, synchronisations
from tracekit.analysis.findings.network_rules import network_time
from tracekit.analysis.findings.speed_rules import behind_their_like
from tracekit.analysis.schema import Finding, Report
from tracekit.analysis.work_rows import are_of_several_kinds
from tracekit.messages import N_, Message

__all__ = ["Evidence", "find"]

# So many findings of one rule are told one by one; what is beyond them is told in one sentence.
MOST_OF_A_RULE = 5
_SEVERITIES = ("high", "medium", "low", "note")


def find(
    report: Report, evidence: Evidence | None = None, not_loaded: Sequence[Message] = ()
) -> tuple[Finding, ...]:
    """The findings of a report that has none yet, worst first.

    Rules that look at the trace itself need `evidence`; `not_loaded`: why cost formulas of installed packages
    are missing.
    """
    passes, accounting, flops = report.passes, report.accounting, report.flops
    known_flops = [one.matrix_flops for one in passes if one.matrix_flops is not None]
    mixed = are_of_several_kinds((one.phase for one in passes), known_flops)
    outliers = [one.index for one in passes if one.outlier]
    too_deep = () if evidence is None else evidence.attribution.tree.warnings
    found = [
        *trace_rules.early_end(report.capture),
        *(pass_rules.several_kinds(known_flops) if mixed else ()),
        *pass_rules.outlier_passes(passes),
        *pass_rules.late_starts(passes),
        *(() if mixed else pass_rules.slow_calls(report.modules, evidence, outliers)),
        *trace_rules.damage(report.trace, too_deep),
        *trace_rules.deep_nesting(too_deep),
        *trace_rules.what_the_trace_lacks(report.trace, accounting, flops),
        *trace_rules.no_latency(report.time.latency_us, len(passes), accounting),
        *device_rules.doubtful_figures(report.device, accounting, flops),
        *(() if mixed else device_rules.uncounted(flops, report.phases)),
        *device_rules.throttled(report.device.telemetry),
        *cost_rules.not_loaded(not_loaded),
        *cost_rules.unknown_costs(report),
        *cost_rules.unknown_lengths(report),
        *cost_rules.beaten_bounds(report),
    ]
    if evidence is not None:
        found.extend(trace_rules.outside_modules(evidence, report.trace, accounting))
        found.extend(_capped(_in_the_trace(evidence, report)))
        found = [_within_a_pass(one, evidence.wall_us) for one in found]
    return tuple(sorted(found, key=_worst_first))


def _within_a_pass(finding: Finding, wall_us: float) -> Finding:
    """Nothing can win more than a pass takes."""
    if finding.gain_us is None or not wall_us or finding.gain_us <= wall_us:
        return finding
    return msgspec.structs.replace(finding, gain_us=wall_us)


def _in_the_trace(evidence: Evidence, report: Report) -> Iterator[Finding]:
    latencies: dict[str | None, float] = {
        row.name: row.latency_us for row in report.phases if row.latency_us is not None
    }
    if report.time.latency_us is not None and report.time.phase is None:
        latencies[None] = report.time.latency_us
    gemms = Gemms(evidence)
    yield from slow_launches(evidence, report.passes, latencies)
    yield from synchronisations(evidence)
    attention = attention_calls(evidence)
    yield from materialised_attention(evidence, attention)
    yield from fp32_gemms(evidence, gemms)
    yield from misaligned_gemms(evidence, gemms)
    yield from tiny_gemms(evidence, gemms)
    yield from elementwise_chains(evidence, {at for call in attention for at in call.inner})
    yield from undone_casts(evidence)
    yield from network_time(evidence)
    yield from behind_their_like(evidence, report)


def _capped(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The worst findings of each rule, and one for the rest of it together."""
    by_rule = sorted(findings, key=lambda one: (one.id, *_worst_first(one)))
    for _, group in groupby(by_rule, key=lambda one: one.id):
        own = list(group)
        yield from own[:MOST_OF_A_RULE]
        rest = own[MOST_OF_A_RULE:]
        if len(rest) == 1:
            yield from rest
        elif rest:
            gains = [one.gain_us for one in rest if one.gain_us is not None]
            yield msgspec.structs.replace(
                rest[0],
                module=None,
                evidence=N_("more places of the same kind, each with less to gain: {count}", count=len(rest)),
                gain_us=sum(gains) if gains else None,
            )


def _worst_first(finding: Finding) -> tuple[int, float]:
    return _SEVERITIES.index(finding.severity), -(finding.gain_us or 0.0)
