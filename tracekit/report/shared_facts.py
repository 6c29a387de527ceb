"""Facts that several outputs show, each in a form of its own: accounting, the bound of a pass, findings."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tracekit.analysis.schema import Finding, Report
from tracekit.report import view
from tracekit.report.escape import clean
from tracekit.report.i18n import Locale


class Accounted(NamedTuple):
    """One of the four shares of the GPU time; `percentage` adds up to 100 over them."""

    kind: str  # a field of `Accounting`
    label: str
    events: int
    us: float
    percentage: float
    percentage_text: str


def accounted(report: Report, locale: Locale) -> list[Accounted]:
    """Where the GPU time went: all four shares, also those that are empty."""
    shares = {kind: getattr(report.accounting, kind) for kind in view.KIND_LABELS}
    rounded = view.percentages([share.us for share in shares.values()])
    return [
        Accounted(
            kind=kind,
            label=locale.message(view.KIND_LABELS[kind]),
            events=share.events,
            us=share.us,
            percentage=percentage,
            percentage_text=locale.rounded_percentage(percentage, share.us == 0),
        )
        for (kind, share), percentage in zip(shares.items(), rounded, strict=True)
    ]


class PassBound(NamedTuple):
    us: float | None
    reached: float  # at most 1
    limited_by: str | None  # the whole model


def pass_bound(report: Report) -> PassBound | None:
    """The bound of a pass, or of the whole trace where no pass has one; None where none is known."""
    flops = report.flops
    share = flops.bound_share if flops.bound_share_per_pass is None else flops.bound_share_per_pass
    if share is None:
        return None
    us = flops.bound_us if flops.bound_per_pass_us is None else flops.bound_per_pass_us
    root = next((row for row in report.modules if row.depth == 0), None)
    return PassBound(us, min(share, 1.0), None if root is None else root.limited_by)


def limit_note(bound: PassBound, locale: Locale) -> list[str]:
    """What limits, where it is known."""
    if bound.limited_by is None:
        return []
    return [locale._("limited by: {limit}").format(limit=locale.message(view.LIMITS[bound.limited_by]))]


def bound_of_a_pass(report: Report, locale: Locale) -> str:
    """The least time a pass could take, what of it the GPU reaches, and what limits; empty if unknown."""
    bound = pass_bound(report)
    if bound is None:
        return ""
    reached = locale._("{share} of it is reached").format(share=locale.percent(bound.reached))
    return f"{locale.duration(bound.us)} ({'; '.join([reached, *limit_note(bound, locale)])})"


def finding_words(
    finding: Finding, locale: Locale, quote: Callable[[str], str] | None = None
) -> tuple[str, str, str]:
    """Severity, evidence and advice, these without a full stop; `quote` is that of `Locale.message`."""
    severity = view.SEVERITIES.get(finding.severity)
    label = locale.message(severity) if severity is not None else (quote or clean)(finding.severity)
    evidence, advice = (
        locale.message(text, quote).rstrip(".") for text in (finding.evidence, finding.advice)
    )
    return label, evidence, view.sentence(advice)


def gain(finding: Finding, locale: Locale) -> str:
    """A sentence on what acting on the finding would win; empty where that is not known."""
    if finding.gain_us is None:
        return ""
    return locale._("Gain: up to {time}.").format(time=locale.duration(finding.gain_us))
