"""Facts of a comparison that several outputs show: the totals of a pass, how noise was judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tracekit.analysis.compare.schema import Change, Comparison, PhaseChange
from tracekit.messages import N_, Message
from tracekit.report.comparison.words import IDLE_VERDICTS, VERDICTS, Words
from tracekit.report.i18n import Locale


def totals_of(words: Words, phase: PhaseChange) -> Iterator[tuple[str, Change, dict[str, Message]]]:
    """Label, change and verdicts of what is known of a pass."""
    _ = words.locale._
    for label, change, verdicts in (
        (_("Latency without the profiler"), phase.latency, VERDICTS),
        (_("Wall time under the profiler"), phase.wall, VERDICTS),
        (words.quantity, phase.total, VERDICTS),
        (_("GPU idle"), phase.gpu_idle, IDLE_VERDICTS),
    ):
        if change is not None:
            yield label, change, verdicts


def method_lines(
    comparison: Comparison, locale: Locale, quote: Callable[[str], str] | None = None
) -> Iterator[str]:
    """Sentences on how a change was told from noise."""
    method = comparison.method
    lines = [
        N_("test: {test} (`{function}`)", test=Message(method.test), function=method.function),
        N_(
            "correction for the number of rows: {correction} (`{function}`)",
            correction=Message(method.correction),
            function=method.correction_function,
        ),
        N_("level: {level:g}", level=method.level),
        N_(
            "margin: a row is slower or faster where it differs from before by more than {margin:.1%}, and "
            "by more than {least:g} µs, in the mean and in the median, beyond what passes vary",
            margin=method.margin,
            least=method.least_us,
        ),
    ]
    if any(max(one.passes_before, one.passes_after) < 2 for one in comparison.phases):
        lines.append(N_("with one pass on each side nothing is known of noise, and no verdict is given"))
    return (locale.message(line, quote) for line in lines)
