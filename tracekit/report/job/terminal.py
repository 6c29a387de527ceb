"""The summary that `tracekit ranks` prints: the step, who is late and where, three ranks, findings, notes.

It looks, and fits, as that of `tracekit analyze` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tracekit.analysis.ranks.schema import Job
from tracekit.report import shared_facts
from tracekit.report.escape import clean
from tracekit.report.i18n import DASH, Locale
from tracekit.report.job.facts import gain_per_step, notes_of, ranks_text, step_text
from tracekit.report.job.figures import Rank, by_delay, ranks_of, slowest_median_fastest
from tracekit.report.job.words import Words
from tracekit.report.terminal import ROOMY, SENTENCE, STYLES, fit, grid, head, printed

LATE = 3
FINDINGS = 5
NOTES = 8


def print_summary(job: Job, directory: Path | None, lang: str, stream: TextIO) -> None:
    """Prints the summary to `stream` and, if there is one, the directory of the whole report."""
    printed(stream, lambda console: _print(console, job, directory, Locale(lang)))


def _print(console: Console, job: Job, directory: Path | None, locale: Locale) -> None:
    _, width = locale._, console.width
    words, ranks = Words(job, locale), ranks_of(job)
    console.print(Text(fit(words.title(), width), style="bold"))
    if subject := words.subject():
        console.print(Text(fit(subject, width), style="dim"))
    console.print(_facts(job, locale))
    if shown := slowest_median_fastest(ranks):
        head(console, f"{_('Where the time of a step goes')} ({_('ms')})")
        console.print(_split(shown, locale, width))
    if job.late:
        head(console, _("Who arrives late"))
        console.print(_late(job, words, locale))
    if job.findings:
        head(console, _("Findings"))
        console.print(_findings(job, locale))
    notes = list(notes_of(job, NOTES))
    if notes:
        head(console, _("Notes"))
        for message in notes[:NOTES]:
            console.print(_sentence(locale.message(message)))
    if directory is not None:
        console.print()
        console.print(Text(f"{_('Report')}: {clean(str(directory))}", style="bold"), soft_wrap=True)


def _sentence(text: str) -> Table:
    table = grid("l")
    table.add_row(Text(fit(text, SENTENCE)))
    return table


def _facts(job: Job, locale: Locale) -> Table:
    _ = locale._
    table = grid("l", "l")
    table.add_row(Text(_("Ranks"), style="dim"), Text(ranks_text(job, locale)))
    if job.time is not None:
        table.add_row(Text(_("Step"), style="dim"), Text(step_text(job, job.time, locale)))
    return table


def _split(shown: Sequence[Rank], locale: Locale, width: int) -> Table:
    """Of the rank with most compute, the median one, and the one with least: what their steps are made of."""
    _ = locale._
    labels = [_("most compute"), _("median"), _("least compute")]
    if len(shown) < len(labels):
        labels = [labels[0], labels[-1]] if len(shown) == 2 else [""]
    is_roomy = width >= ROOMY
    columns = slice(None) if is_roomy else slice(0, 2)
    table = grid(*("l", *"rrrrr"[columns]))
    headers = [_("compute"), _("exposed"), _("copies"), _("idle"), _("step")]
    table.add_row("", *(Text(text, style="dim") for text in headers[columns]))
    for label, one in zip(labels, shown, strict=True):
        if one.step is None:
            continue
        name = _("rank {rank}").format(rank=locale.count(one.row.rank))
        times = [locale.milliseconds(us) for us in (*one.step.parts, one.step.wall)]
        table.add_row(f"{name} ({label})" if label and is_roomy else name, *times[columns])
    return table


def _late(job: Job, words: Words, locale: Locale) -> Table:
    """The worst ranks, or that there is none."""
    _ = locale._
    rows = [row for row in by_delay(job) if row.delay_us > 0][:LATE]
    stragglers = {one.rank: one for one in job.stragglers}
    table = grid("l", "l")
    if not rows:
        table.add_row("", Text(_("No rank holds the others up.")))
    for row in rows:
        place, _lost = words.late_place(row, stragglers.get(row.rank))
        text = _(
            "last in {last} of {all} collectives, delays them by {delay}; others wait {waited} in all"
        ).format(
            last=locale.count(row.last),
            all=locale.count(row.collectives),
            delay=locale.duration(row.delay_us),
            waited=locale.duration(row.waited_us),
        )
        if place != DASH:
            text += f"; {_('why, mostly')}: {place}"
        name = _("rank {rank}").format(rank=locale.count(row.rank))
        table.add_row(
            Text(name, style="bold red" if row.rank in stragglers else ""), Text(fit(text, SENTENCE))
        )
    return table


def _findings(job: Job, locale: Locale) -> Table:
    table = grid("l", "l")
    for finding in job.findings[:FINDINGS]:
        label, *words = shared_facts.finding_words(finding, locale)
        evidence, advice = (fit(text, SENTENCE) for text in words)
        gain = f" {gained}" if (gained := gain_per_step(finding.gain_us, locale)) else ""
        table.add_row(
            Text(label, style=STYLES.get(finding.severity, "")), Text(f"{evidence}. {advice}.{gain}")
        )
    rest = len(job.findings) - FINDINGS
    if rest > 0:
        more = locale.ngettext("{n} more in the report", "{n} more in the report", rest)
        table.add_row("", Text(more, style="dim"))
    return table
