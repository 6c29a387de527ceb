"""The few facts that the terminal and a notebook show first: device, times, FLOPs, what was achieved."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tracekit.analysis.schema import Report
from tracekit.report import reasons, shared_facts, view
from tracekit.report.escape import clean, elide
from tracekit.report.i18n import DASH, Locale
from tracekit.report.phase_view import PassFigures, each, pass_figures, plain_name


def headline(report: Report, locale: Locale) -> Iterator[tuple[str, str]]:
    """Label and text of what a report says first; texts from the trace are cleaned."""
    _, time, flops = locale._, report.time, report.flops
    device = report.device.name
    yield (
        _("Device"),
        elide(clean(device), view.NAME_WIDTH)
        if device
        else _("unknown")
        if view.has_gpu(report)
        else _("CPU"),
    )
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
    if bound := shared_facts.bound_of_a_pass(report, locale):
        yield _("Bound of a pass") if time.passes else _("Bound of the whole trace"), bound
    if any(one.tokens_per_second is not None for one in figures):
        yield _("Tokens per second"), of_passes(lambda one: locale.fixed(one.tokens_per_second, 1))
    step = time.step_latency_us or time.step_wall_us
    if step is not None and report.model.mode in ("train", "loop"):
        rate = f"; {locale.flops_rate(flops.step_tflops)}" if flops.step_tflops is not None else ""
        yield _("Step"), locale.duration(step) + rate
