"""The card that a notebook shows of a comparison: HTML without scripts, in the colours around it."""

from __future__ import annotations

from tracekit.analysis.compare.schema import Comparison, PhaseChange
from tracekit.report import palette
from tracekit.report.comparison.facts import totals_of
from tracekit.report.comparison.figures import relative_change, signed_milliseconds
from tracekit.report.comparison.words import Words, phase_name, ranked_places, side_names
from tracekit.report.escape import elide
from tracekit.report.html_templates import html_template
from tracekit.report.i18n import Locale
from tracekit.report.notebook import NAME_WIDTH, TEXT_WIDTH

PLACES = 8
PHASES = 4


def render_card(comparison: Comparison, locale: Locale) -> str:
    """Headline, totals with verdicts and the largest differences of each of the first phases."""
    words = Words(comparison, locale)
    return html_template("comparison_card.html.j2").render(
        _=locale._,
        lang=locale.lang,
        title=elide(" → ".join(side_names(comparison)), 2 * NAME_WIDTH),
        summary=[elide(words.message(message), TEXT_WIDTH) for message in comparison.summary],
        phases=[
            (phase_name(phase), list(_totals(words, phase)), list(_places(words, phase)))
            for phase in comparison.phases[:PHASES]
        ],
        bar=palette.BLUE,
    )


def _totals(words: Words, phase: PhaseChange) -> list[tuple[str, str, str, str]]:
    """Label, both times, their difference, verdict."""
    locale = words.locale
    return [
        (
            label,
            f"{locale.duration(change.before_us)} → {locale.duration(change.after_us)}",
            relative_change(locale, change.relative),
            words.verdict(change, verdicts),
        )
        for label, change, verdicts in totals_of(words, phase)
    ]


def _places(words: Words, phase: PhaseChange) -> list[tuple[str, str, str, str]]:
    """Difference, the same in per cent, name, verdict."""
    locale = words.locale
    changed = [row for row in ranked_places(words.comparison, phase) if row.difference_us]
    return [
        (
            f"{signed_milliseconds(locale, row.difference_us)} {locale._('ms')}",
            relative_change(locale, row.relative),
            elide(words.place(row), NAME_WIDTH),
            words.verdict(row),
        )
        for row in changed[:PLACES]
    ]
