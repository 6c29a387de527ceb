"""The summary that `tracekit compare` prints: headline, totals with verdicts, top places, notes.

It looks, and fits, as that of `tracekit analyze` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tracekit.analysis.compare.schema import Change, Comparison, PhaseChange
from tracekit.report.comparison.facts import totals_of
from tracekit.report.comparison.figures import relative_change, signed_milliseconds
from tracekit.report.comparison.words import Words, phase_name, ranked_places, side_names
from tracekit.report.escape import clean
from tracekit.report.i18n import Locale
from tracekit.report.terminal import PADDING, ROOMY, SENTENCE, fit, grid, head, printed

PLACES = 5
STYLES = {
    "slower": "bold red",
    "faster": "green",
    "appeared": "yellow",
    "vanished": "yellow",
    "same": "dim",
    "unknown": "dim",
}
LABEL = 30  # columns of a total's label in a terminal that is not narrow


def print_summary(comparison: Comparison, directory: Path | None, lang: str, stream: TextIO) -> None:
    """Prints the summary to `stream` and, if there is one, the directory of the whole comparison."""
    printed(stream, lambda console: _print(console, comparison, directory, Locale(lang)))


def _print(console: Console, comparison: Comparison, directory: Path | None, locale: Locale) -> None:
    _, width = locale._, console.width
    words = Words(comparison, locale)
    before, after = side_names(comparison)
    console.print(Text(fit(f"{before} → {after}", width), style="bold"))
    for message in comparison.summary:
        console.print(_sentence(words.message(message), width))
    for phase in comparison.phases:
        name = phase_name(phase)
        title = _("A pass before and after")
        head(console, fit(f"{title}: {name}" if name else title, width))
        console.print(_totals(words, phase, width))
        if places := _places(words, phase, width):
            head(console, _("Largest differences"))
            console.print(places)
    if comparison.notes:
        head(console, _("Notes"))
        for message in comparison.notes:
            console.print(_sentence(words.message(message), width))
    if directory is not None:
        console.print()
        console.print(Text(f"{_('Report')}: {clean(str(directory))}", style="bold"), soft_wrap=True)


def _sentence(text: str, width: int) -> Table:
    table = grid("l")
    table.add_row(Text(fit(text, SENTENCE)))
    return table


def _totals(words: Words, phase: PhaseChange, width: int) -> Table:
    """Label, both times, the difference, verdict; in a narrow terminal without the times."""
    is_roomy = width >= ROOMY
    table = grid(*("lrrrl" if is_roomy else "lrl"), labels=LABEL if is_roomy else width * 2 // 5)
    locale = words.locale
    for label, change, verdicts in totals_of(words, phase):
        times = [locale.duration(us) for us in (change.before_us, change.after_us)]
        relative = relative_change(locale, change.relative)
        verdict = Text(words.verdict(change, verdicts), style=_style(change))
        table.add_row(Text(label, style="dim"), *(times if is_roomy else []), relative, verdict)
    return table


def _places(words: Words, phase: PhaseChange, width: int) -> Table | None:
    """The places that explain most, else those with the largest differences."""
    changed = [row for row in ranked_places(words.comparison, phase) if row.difference_us]
    shown = changed[: min(PLACES, len(phase.explained_by) or PLACES)]
    if not shown:
        return None
    table = grid("r", "r", "l")
    locale = words.locale
    differences = [f"{signed_milliseconds(locale, row.difference_us)} {locale._('ms')}" for row in shown]
    relatives = [relative_change(locale, row.relative) for row in shown]
    used = max(map(cell_len, differences)) + max(map(cell_len, relatives))
    room = max(1, width - used - PADDING - 2)
    for row, difference, relative in zip(shown, differences, relatives, strict=True):
        kind = f" ({fit(words.quoted(row.type), 24)})" if row.type and width >= ROOMY else ""
        name = Text(fit(words.place(row), max(1, room - cell_len(kind))) + kind)
        table.add_row(Text(difference, style=_style(row)), relative, name)
    return table


def _style(change: Change) -> str:
    return STYLES.get(change.verdict, "")
