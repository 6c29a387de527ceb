"""What a check is called and its figures, as all renderers of a gate write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tracekit.analysis.compare.gate_schema import Check, GateResult
from tracekit.messages import N_
from tracekit.report.escape import elide
from tracekit.report.i18n import DASH, Locale

_METRICS = {
    "gpu_time": N_("GPU time"),
    "cpu_time": N_("CPU time"),
    "latency": N_("Latency"),
    "idle": N_("GPU idle"),
    "memory": N_("Peak of the device memory"),
}
_PHASE_WIDTH = 40  # of its name, which is a trace's
VERDICTS = {"pass": N_("passed"), "fail": N_("failed"), "unknown": N_("cannot be judged")}
TITLES = {
    "pass": N_("no regression"),
    "fail": N_("regression"),
    "unknown": N_("regressions cannot be judged"),
}


def name(check: Check, locale: Locale, quote: Callable[[str], str] | None = None) -> str:
    """`GPU time of model.layers.*.mlp, decode`; names are cleaned, or given to `quote`."""
    metric = _METRICS[check.metric]
    phase = None if check.phase is None else elide(check.phase, _PHASE_WIDTH)
    if check.module is None:
        whole = metric if phase is None else N_("{metric}, {phase}", metric=metric, phase=phase)
        return locale.message(whole, quote)
    module = check.module or "''"  # the root's path is empty
    if phase is None:
        return locale.message(N_("{metric} of {module}", metric=metric, module=module), quote)
    return locale.message(
        N_("{metric} of {module}, {phase}", metric=metric, module=module, phase=phase), quote
    )


def value(check: Check, figure: float | None, locale: Locale) -> str:
    """A figure of a check with its unit."""
    if figure is None:
        return DASH
    return locale.bytes(round(figure)) if check.unit == "bytes" else locale.duration(figure)


def change(share: float | None, locale: Locale) -> str:
    """`+12.3%`"""
    if share is None:
        return DASH
    sign = "+" if share > 0 else ""
    return sign + locale.with_percent_sign(locale.fixed(share * 100, 1))


def interval(check: Check, locale: Locale) -> str:
    """`+9.1% … +15.4%`; what has no end ends with the dots."""
    if check.change_low is None:
        return DASH
    high = "" if check.change_high is None else change(check.change_high, locale)
    return f"{change(check.change_low, locale)} … {high}".rstrip()


def probability(p: float | None, locale: Locale) -> str:
    return DASH if p is None else f"{p:.2g}".replace(".", locale.decimal_symbol)


def confidence(result: GateResult, locale: Locale) -> str:
    return locale.with_percent_sign(locale.fixed(result.confidence * 100).rstrip("0").rstrip(".,"))


def conditions(result: GateResult, locale: Locale) -> str:
    most = change(result.limits.max_regression, locale)
    if not result.tests:
        return locale.message(N_("limit {most}", most=most))
    return locale.message(
        N_("limit {most}, {confidence} intervals", most=most, confidence=confidence(result, locale))
    )


def line(check: Check, result: GateResult, locale: Locale) -> str:
    """All of a check in one line of plain text."""
    called, reason = name(check, locale), locale.message(check.reason)
    if check.before is None or check.after is None:
        return f"{called}: {reason}"
    figures = [change(check.change, locale)]
    if check.change_low is not None:
        between = interval(check, locale)
        figures.append(
            locale.message(
                N_("{confidence} interval {between}", confidence=confidence(result, locale), between=between)
            )
        )
    most = change(result.limits.max_regression, locale)
    figures.append(locale.message(N_("limit {most}", most=most)))
    before, after = (value(check, figure, locale) for figure in (check.before, check.after))
    return f"{called}: {before} → {after} ({', '.join(figures)}): {reason}"


def headline(result: GateResult, locale: Locale) -> str:
    """The verdict in one line of plain text, with the check that it is owed to."""
    title = locale.message(TITLES[result.verdict])
    decisive = [check for check in result.checks if check.verdict == result.verdict]
    if result.verdict == "pass":
        return f"{title}: {locale.ngettext('{n} check', '{n} checks', len(decisive))}"
    worst = max(decisive, key=lambda check: float("inf") if check.change is None else check.change)
    rest = len(decisive) - 1
    more = f" ({locale.ngettext('{n} more', '{n} more', rest)})" if rest else ""
    return f"{title}: {line(worst, result, locale)}{more}"


def method(result: GateResult, locale: Locale) -> Iterator[str]:
    """How a regression is told from noise, as far as anything was."""
    if not result.tests:
        return
    yield locale.message(
        N_(
            "a check fails where its mean over passes exceeds the baseline's by more than the limit, and "
            "Welch's t-test (one-sided, null hypothesis: by the limit at most) rejects that this is noise, "
            "at level {level:g}; p-values and intervals are corrected for the number of tests ({tests})",
            level=result.limits.level,
            tests=result.tests,
        )
    )
    if any(check.module is not None and check.p_value is not None for check in result.checks):
        yield locale.message(
            N_(
                "the spread of a sum over modules is bounded by the sum of their spreads: such a sum must "
                "grow more clearly to fail"
            )
        )
