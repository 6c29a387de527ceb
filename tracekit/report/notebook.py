"""The card that a notebook shows of a report: HTML without scripts, in the colours of what is around it."""

from __future__ import annotations

from tracekit.analysis.schema import Finding, Report
from tracekit.report import palette, shared_facts, view
from tracekit.report.escape import clean, elide
from tracekit.report.headline import headline
from tracekit.report.html_templates import html_template
from tracekit.report.i18n import Locale

MODULES = 8
FINDINGS = 6
NAME_WIDTH = 72
TEXT_WIDTH = 600
COLOURS = {
    "high": palette.VERMILION,
    "medium": palette.ORANGE,
    "low": palette.BLUE,
    "note": palette.GREY,
}


def render_card(report: Report, locale: Locale) -> str:
    """A card of at most some 20 kB: headline, where the GPU time went, slowest modules, findings."""
    slowest = view.slowest_modules(report, MODULES)
    rest = max(0, len(report.findings) - FINDINGS)
    return html_template("notebook_card.html.j2").render(
        _=locale._,
        lang=locale.lang,
        title=_name(view.title(report)),
        facts=[(label, elide(text, TEXT_WIDTH)) for label, text in headline(report, locale)],
        accounting=_accounting(report, locale) if view.has_gpu(report) else [],
        modules=[
            (
                f"{locale.milliseconds(us)} {locale._('ms')}",
                _name(module.path) or f"({locale._('the whole model')})",
                _name(module.type or ""),
                _percentage(us, slowest[0][1]),
            )
            for module, us in slowest
        ],
        basis=view.self_time_basis(report, locale),
        findings=[_finding(finding, locale) for finding in report.findings[:FINDINGS]],
        rest=locale.ngettext("{n} more in the report", "{n} more in the report", rest) if rest else "",
        bar=palette.BLUE,
    )


def _name(text: str) -> str:
    return elide(clean(text), NAME_WIDTH)


def _percentage(part: float, whole: float) -> str:
    """The length of a bar, for CSS."""
    return f"{100 * part / whole:.1f}%" if whole > 0 else "0%"


def _accounting(report: Report, locale: Locale) -> list[tuple[str, str, str, str]]:
    """Label, time, share and bar of each kind that has GPU events."""
    return [
        (
            share.label,
            f"{locale.milliseconds(share.us)} {locale._('ms')}",
            share.percentage_text,
            _percentage(share.percentage, 100),
        )
        for share in shared_facts.accounted(report, locale)
        if share.events
    ]


def _finding(finding: Finding, locale: Locale) -> tuple[str, str, str, str, str]:
    """Severity, its colour, subject, what was seen and is to be done, gain."""
    label, evidence, advice = shared_facts.finding_words(finding, locale)
    return (
        elide(label, NAME_WIDTH),
        COLOURS.get(finding.severity, palette.GREY),
        _name(finding.module) if finding.module else "",
        f"{elide(evidence, TEXT_WIDTH)}. {elide(advice, TEXT_WIDTH)}.",
        shared_facts.gain(finding, locale),
    )
