"""The summary that `tracekit analyze` prints: headline, where the GPU time went, top modules, findings.

Fits 80 columns, or fewer where a terminal is narrower. It is plain where it is piped, unless `FORCE_COLOR` is
set, and in a dumb terminal, and `NO_COLOR` takes the colours away. Names from the trace are shown as they
are: they are neither markup nor terminal escapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tracekit.analysis.schema import ModuleRow, Report
from tracekit.report import shared_facts, view
from tracekit.report.escape import clean, elide
from tracekit.report.headline import headline
from tracekit.report.i18n import Locale

WIDTH = 80
ROOMY = 60  # narrower terminals have no bars and no types
NARROWEST = 32
PADDING = 6  # of a table of two columns
SENTENCE = 500  # names in it may be of any length
MODULES = 5
FINDINGS = 5
BAR = 20
STYLES = {"high": "bold red", "medium": "yellow", "low": "cyan", "note": "dim"}


def print_summary(report: Report, directory: Path | None, lang: str, stream: TextIO) -> None:
    """Prints the summary of `report` to `stream` and, if there is one, the directory of the full report."""
    printed(stream, lambda console: _print(console, report, directory, Locale(lang)))


def printed(stream: TextIO, show: Callable[[Console], None]) -> None:
    """Prints to `stream` what `show` prints to a console that fits it."""
    console = Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=False)
    console.width = max(NARROWEST, min(WIDTH, console.width)) if stream.isatty() else WIDTH
    with console.capture() as capture:
        show(console)
    encoding = stream.encoding or "utf-8"
    # A terminal without Unicode shows question marks; it does not end the program.
    text = "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())
    stream.write(text.encode(encoding, "replace").decode(encoding))


def _print(console: Console, report: Report, directory: Path | None, locale: Locale) -> None:
    _, width = locale._, console.width
    console.print(Text(fit(clean(view.title(report)), width), style="bold"))
    console.print(_pairs(headline(report, locale), width))
    if view.has_gpu(report):
        head(console, _("Where the GPU time went"))
        console.print(_accounting(report, locale, width))
    if timed := view.slowest_modules(report, MODULES):
        head(console, _("Slowest modules"))
        console.print(_slowest(timed, locale, width))
        console.print(Padding(Text(view.self_time_basis(report, locale), style="dim"), (0, 0, 0, 2)))
    if report.findings:
        head(console, _("Findings"))
        console.print(_findings(report, locale))
    if directory is not None:
        console.print()
        console.print(Text(f"{_('Report')}: {clean(str(directory))}", style="bold"), soft_wrap=True)


def fit(text: str, width: int) -> str:
    """`text` in at most `width` columns of the terminal, some letters taking two; cut in its middle."""
    length = min(len(text), width)
    while cell_len(shown := elide(text, length)) > width:
        length -= 1
    return shown


def head(console: Console, text: str) -> None:
    """A heading."""
    console.print()
    console.print(Text(text, style="bold"))


def grid(*justify: str, labels: int | None = None) -> Table:
    """A table without lines. Its last column is wrapped, and the first where it is wider than `labels`."""
    table = Table.grid(padding=(0, 2), pad_edge=True)
    for number, side in enumerate(justify):
        wraps = number == len(justify) - 1 or (number == 0 and labels is not None)
        table.add_column(
            justify="right" if side == "r" else "left",
            no_wrap=not wraps,
            overflow="fold",
            max_width=labels if number == 0 else None,
        )
    return table


def _labels_width(width: int) -> int | None:
    """How much of a narrow terminal labels may have; there is no limit where there is room for all."""
    return None if width >= ROOMY else width * 2 // 5


def _pairs(pairs: Iterable[tuple[str, str]], width: int) -> Table:
    table = grid("l", "l", labels=_labels_width(width))
    for label, value in pairs:
        table.add_row(Text(label, style="dim"), Text(value))
    return table


def _accounting(report: Report, locale: Locale, width: int) -> Table:
    with_bars = width >= ROOMY
    table = grid(*"lrrl"[: 3 + with_bars], labels=_labels_width(width))
    for share in shared_facts.accounted(report, locale):
        if share.events:
            bar = Text("█" * round(share.percentage / 100 * BAR), style="cyan")
            table.add_row(
                share.label,
                f"{locale.milliseconds(share.us)} {locale._('ms')}",
                share.percentage_text,
                *([bar] if with_bars else []),
            )
    return table


def _slowest(timed: Sequence[tuple[ModuleRow, float]], locale: Locale, width: int) -> Table:
    table = grid("r", "l")
    times = [f"{locale.milliseconds(us)} {locale._('ms')}" for _module, us in timed]
    room = max(1, width - max(map(len, times)) - PADDING)
    for (module, _us), time in zip(timed, times, strict=True):
        kind = f" ({fit(clean(module.type), 24)})" if module.type and width >= ROOMY else ""
        path = clean(module.path) or locale._("the whole model")
        table.add_row(time, Text(fit(path, room - cell_len(kind)) + kind))
    return table


def _findings(report: Report, locale: Locale) -> Table:
    table = grid("l", "l")
    for finding in report.findings[:FINDINGS]:
        label, *words = shared_facts.finding_words(finding, locale)
        subject = f"{fit(clean(finding.module), 60)}: " if finding.module else ""
        evidence, advice = (fit(text, SENTENCE) for text in words)
        gain = f" {gained}" if (gained := shared_facts.gain(finding, locale)) else ""
        text = Text(f"{subject}{evidence}. {advice}.{gain}")
        table.add_row(Text(label, style=STYLES.get(finding.severity, "")), text)
    rest = len(report.findings) - FINDINGS
    if rest > 0:
        more = locale.ngettext("{n} more in the report", "{n} more in the report", rest)
        table.add_row("", Text(more, style="dim"))
    return table
