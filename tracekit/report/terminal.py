"""The summary that `tracekit analyze` prints: headline, where the GPU time went, top modules, findings.

Fits 80 columns, has no colours where it is piped or `NO_COLOR` is set, and shows names from the trace as
they are: they are neither markup nor terminal escapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tracekit.analysis.schema import Report
from tracekit.report import reasons, view
from tracekit.report.escape import clean, elide
from tracekit.report.i18n import DASH, Locale
from tracekit.report.phase_view import PassFigures, each, pass_figures, plain_name

WIDTH = 80
MODULES = 5
FINDINGS = 5
BAR = 20
STYLES = {"high": "bold red", "medium": "yellow", "low": "cyan", "note": "dim"}


def print_summary(report: Report, directory: Path | None, lang: str, stream: TextIO) -> None:
    """Prints the summary of `report` to `stream` and, if there is one, the directory of the full report."""
    console = Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=False)
    console.width = min(WIDTH, console.width) if stream.isatty() else WIDTH
    with console.capture() as capture:
        _print(console, report, directory, Locale(lang))
    encoding = stream.encoding or "utf-8"
    # A terminal without Unicode shows question marks; it does not end the program.
    text = "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())
    stream.write(text.encode(encoding, "replace").decode(encoding))


def _print(console: Console, report: Report, directory: Path | None, locale: Locale) -> None:
    _ = locale._
    console.print(Text(elide(clean(view.title(report)), console.width), style="bold"))
    console.print(_pairs(_headline(report, locale)))
    if view.has_gpu(report):
        _head(console, _("Where the GPU time went"))
        console.print(_accounting(report, locale))
    if timed := view.slowest_modules(report, MODULES):
        _head(console, _("Slowest modules"))
        table = _grid("r", "l")
        for module, us in timed:
            path = clean(module.path) or _("the whole model")
            kind = f" ({elide(clean(module.type), 24)})" if module.type else ""
            table.add_row(f"{locale.milliseconds(us)} {_('ms')}", elide(path, 60 - len(kind)) + kind)
        console.print(table)
        console.print(Padding(Text(view.self_time_basis(report, locale), style="dim"), (0, 0, 0, 2)))
    if report.findings:
        _head(console, _("Findings"))
        console.print(_findings(report, locale))
    if directory is not None:
        console.print()
        console.print(Text(f"{_('Report')}: {clean(str(directory))}", style="bold"), soft_wrap=True)


def _head(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _grid(*justify: str) -> Table:
    table = Table.grid(padding=(0, 2), pad_edge=True)
    for number, side in enumerate(justify):
        is_last = number == len(justify) - 1
        table.add_column(justify="right" if side == "r" else "left", no_wrap=not is_last, overflow="fold")
    return table


def _pairs(pairs: Iterable[tuple[str, str]]) -> Table:
    table = _grid("l", "l")
    for label, value in pairs:
        table.add_row(Text(label, style="dim"), Text(value))
    return table


def _headline(report: Report, locale: Locale) -> Iterable[tuple[str, str]]:
    _, time, flops = locale._, report.time, report.flops
    device = report.device.name
    yield _("Device"), clean(device) if device else _("unknown") if view.has_gpu(report) else _("CPU")
    figures = pass_figures(report)

    def of_passes(show: Callable[[PassFigures], str]) -> str:
        return each(figures, show, plain_name)

    if any(one.latency_us is not None for one in figures):
        yield _("Latency"), of_passes(lambda one: locale.duration(one.latency_us))
    if any(one.wall_us is not None for one in figures):
        yield (
            _("Pass wall"),
            of_passes(
                lambda one: (
                    f"{locale.duration(one.wall_us)} ({view.median_of(one.passes, locale)})"
                    if one.wall_us is not None
                    else DASH
                )
            ),
        )
    if view.has_gpu(report):
        whole = f"{locale.duration(time.gpu_time_us)} {_('over the whole trace')}"
        per_pass = of_passes(lambda one: locale.duration(one.gpu_time_us))
        known = any(one.gpu_time_us is not None for one in figures)
        yield _("GPU time"), f"{per_pass} {_('per pass')}; {whole}" if known else whole
        yield (
            _("GPU busy"),
            _("{busy} of {span}").format(
                busy=locale.duration(time.gpu_busy_us), span=locale.duration(time.gpu_span_us)
            ),
        )
    if any(one.matrix_flops for one in figures):
        per_pass = of_passes(lambda one: locale.flops(one.matrix_flops))
        yield _("Matrix FLOPs"), f"{per_pass} {_('per pass')}"
    else:
        yield _("Matrix FLOPs"), locale.message(reasons.why_no_pass_flops(report))
    if any(one.headline_tflops is not None for one in figures):
        share = ""
        if flops.peak_share is not None:
            share = "; " + _("matrix operators at {share} of the peak").format(
                share=locale.percent(flops.peak_share)
            )
        yield _("Achieved"), of_passes(lambda one: locale.flops_rate(one.headline_tflops)) + share
    if bound := view.bound_of_a_pass(report, locale):
        yield _("Bound of a pass") if time.passes else _("Bound of the whole trace"), bound
    if any(one.tokens_per_second is not None for one in figures):
        yield _("Tokens per second"), of_passes(lambda one: locale.fixed(one.tokens_per_second, 1))
    step = time.step_latency_us or time.step_wall_us
    if step is not None and report.model.mode in ("train", "loop"):
        rate = f"; {locale.flops_rate(flops.step_tflops)}" if flops.step_tflops is not None else ""
        yield _("Step"), locale.duration(step) + rate


def _accounting(report: Report, locale: Locale) -> Table:
    table = _grid("l", "r", "r", "l")
    shares = {name: getattr(report.accounting, name) for name in view.KIND_LABELS}
    percentages = view.percentages([share.us for share in shares.values()])
    for (name, share), percentage in zip(shares.items(), percentages, strict=True):
        if share.events:
            table.add_row(
                locale.message(view.KIND_LABELS[name]),
                f"{locale.milliseconds(share.us)} {locale._('ms')}",
                locale.rounded_percentage(percentage, share.us == 0),
                Text("█" * round(percentage / 100 * BAR), style="cyan"),
            )
    return table


def _findings(report: Report, locale: Locale) -> Table:
    table = _grid("l", "l")
    for finding in report.findings[:FINDINGS]:
        severity = view.SEVERITIES.get(finding.severity)
        label = locale.message(severity) if severity is not None else clean(finding.severity)
        subject = f"{elide(clean(finding.module), 60)}: " if finding.module else ""
        evidence, advice = (locale.message(text).rstrip(".") for text in (finding.evidence, finding.advice))
        gain = f" {gained}" if (gained := view.gain(finding, locale)) else ""
        text = Text(f"{subject}{evidence}. {view.sentence(advice)}.{gain}")
        table.add_row(Text(label, style=STYLES.get(finding.severity, "")), text)
    rest = len(report.findings) - FINDINGS
    if rest > 0:
        more = locale.ngettext("{n} more in the report", "{n} more in the report", rest)
        table.add_row("", Text(more, style="dim"))
    return table
