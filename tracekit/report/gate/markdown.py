"""A gate's result as a short Markdown comment: the verdict, a table of the checks, notes."""

from __future__ import annotations

from tracekit.analysis.compare.gate_schema import Check, GateResult
from tracekit.report.escape import markdown_cell_name, markdown_name, markdown_quote
from tracekit.report.gate import words
from tracekit.report.i18n import Locale
from tracekit.report.markdown_table import table


def render_markdown(result: GateResult, locale: Locale) -> str:
    """For a comment of GitHub or GitLab, or for GitHub's step summary."""
    _ = locale._
    headers = [_("Check"), _("Before"), _("After"), _("Change"), _("Interval"), "p", _("Verdict"), _("Why")]
    title = locale.message(words.TITLES[result.verdict])
    sides = " → ".join(markdown_name(path) for path in (result.before, result.after))
    parts = [
        f"### {_('Performance')}: {title}",
        f"{sides}; {words.conditions(result, locale)}",
        table(headers, [_row(check, locale) for check in result.checks], "lrrrrrll"),
    ]
    if notes := [
        *(locale.message(note, markdown_quote) for note in result.notes),
        *words.method(result, locale),
    ]:
        parts.append("\n".join(f"* {note}" for note in notes))
    return "\n\n".join(parts) + "\n"


def _row(check: Check, locale: Locale) -> list[str]:
    verdict = locale.message(words.VERDICTS[check.verdict])
    return [
        words.name(check, locale, markdown_cell_name),
        words.value(check, check.before, locale),
        words.value(check, check.after, locale),
        words.change(check.change, locale),
        words.interval(check, locale),
        words.probability(check.p_value, locale),
        f"**{verdict}**" if check.verdict != "pass" else verdict,
        locale.message(check.reason, markdown_cell_name),
    ]
