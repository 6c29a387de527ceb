"""`report.md`: the sections that users of the predecessor know, in their order, then the new ones.

The template holds the order and the headings; here are the facts that stand in its lists, and
`tracekit.report.sections` makes its tables. Every value reaches the template as finished Markdown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import PurePath
from typing import TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined

from tracekit.analysis.schema import Report
from tracekit.messages import N_, Message
from tracekit.report import sections, view
from tracekit.report.escape import markdown_code, markdown_text
from tracekit.report.i18n import DASH, Locale

Value = TypeVar("Value")

BASES = {
    "latency": N_("matrix FLOPs of a pass ÷ latency"),
    "pass_wall": N_("matrix FLOPs of a pass ÷ its wall time under the profiler"),
}
MODULE_SOURCES = {
    "scopes": N_("scopes of tracekit capture"),
    "frames": N_("nn.Module frames of the profiler"),
    "ranges": N_("user ranges named as a module tree"),
}


def render_markdown(report: Report, locale: Locale, top: int = 20, *, pictures: bool = True) -> str:
    """The Markdown report with the `top` slowest modules; `pictures`: whether the PNG files are beside it."""
    groups = view.block_groups(report)
    facts = _Facts(report, locale)
    text = (
        _environment()
        .get_template("report.md.j2")
        .render(
            _=locale._,
            title=markdown_text(view.title(report)),
            model={name: facts.of_model(name) for name in report.model.__struct_fields__},
            forward_time=facts.forward_time(),
            flops_per_pass=facts.flops_per_pass(),
            headline=facts.headline(),
            more_facts=list(facts.more()),
            pictures=pictures,
            block_parameters=facts.by_kind(groups, "parameters"),
            attention_flops=facts.by_kind(groups, "attention_flops"),
            ffn_flops=facts.by_kind(groups, "ffn_flops"),
            mixer_flops=facts.by_kind(groups, "mixer_flops") if any(map(_has_mixer, groups)) else "",
            block_efficiency=sections.block_efficiency(report, locale),
            block_kinds=sections.block_kinds(report, locale, groups),
            types=sections.types(report, locale),
            top=top,
            slowest=sections.slowest(report, locale, top),
            accounting=sections.accounting(report, locale),
            passes=sections.passes(report, locale),
            rows=sections.ROWS,
            kernels=sections.kernels(report, locale),
            ops=sections.ops(report, locale),
            regions=sections.regions(report, locale),
            findings=sections.findings(report, locale),
            lacks=sections.lacks(report, locale),
        )
    )
    return text.strip("\n") + "\n"


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("tracekit.report"),
        extensions=["jinja2.ext.i18n"],
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Not HTML: values are escaped for Markdown before they come to the template.
        autoescape=False,
    )


def _has_mixer(group: view.BlockGroup) -> bool:
    return group.mixer_flops is not None and group.mixer_flops[1] > 0


class _Facts:
    """The values of the report's lists; one that is unknown is a dash and the reason."""

    def __init__(self, report: Report, locale: Locale) -> None:
        self.report = report
        self.locale = locale

    def _or_why(self, value: Value | None, show: Callable[[Value], str], why: Message) -> str:
        return show(value) if value is not None else f"{DASH} ({self._text(why)})"

    def _text(self, message: Message) -> str:
        return self.locale.message(message, markdown_code)

    def of_model(self, field: str) -> str:
        value = getattr(self.report.model, field)
        if field == "num_blocks" and value is None and self.report.blocks:
            value = len(self.report.blocks)
        if isinstance(value, str):
            return markdown_text(value)
        return self._or_why(value, self.locale.count, view.why_no_model_field(self.report))

    def forward_time(self) -> str:
        time, _ = self.report.time, self.locale._
        if time.latency_us is not None:
            return f"{self.locale.duration(time.latency_us)} ({_('latency, measured without the profiler')})"
        if time.pass_wall_us is None:
            return f"{DASH} ({self._text(view.why_no_passes())})"
        over = view.over_passes(self.report, self.locale)
        return f"{self.locale.duration(time.pass_wall_us)} ({_('wall time under the profiler')}, {over})"

    def flops_per_pass(self) -> str:
        return self._or_why(
            self.report.flops.matrix_per_pass or None, self.locale.flops, view.why_no_pass_flops(self.report)
        )

    def headline(self) -> str:
        flops = self.report.flops
        if flops.headline_tflops is None:
            return f"{DASH} ({self._text(view.why_no_pass_flops(self.report))})"
        basis = BASES.get(flops.headline_basis or "")
        notes = [self._text(basis)] if basis is not None else []
        if not view.has_gpu(self.report):
            notes.append(self.locale._("on the CPU"))
        shown = self.locale.flops_rate(flops.headline_tflops)
        return f"{shown} ({', '.join(notes)})" if notes else shown

    def more(self) -> Iterator[tuple[str, str]]:
        """Label and value of what the predecessor did not have."""
        report, locale, _ = self.report, self.locale, self.locale._
        time, flops, model = report.time, report.flops, report.model
        if time.pass_wall_us is not None and (time.passes > 1 or time.latency_us is not None):
            spread = f"{locale.duration(time.pass_wall_min_us)} – {locale.duration(time.pass_wall_max_us)}"
            over = view.over_passes(report, locale)
            yield (
                _("Wall time of a pass under the profiler"),
                f"{locale.duration(time.pass_wall_us)} ({f'{over}; {spread}' if time.passes > 1 else over})",
            )
        if view.has_gpu(report):
            if time.gpu_time_per_pass_us is not None:
                over = view.over_passes(report, locale)
                yield _("GPU time per pass"), f"{locale.duration(time.gpu_time_per_pass_us)} ({over})"
            yield (
                _("GPU over the whole trace"),
                _("busy {busy}, idle {idle}, span {span}; GPU time {time}").format(
                    busy=locale.duration(time.gpu_busy_us),
                    idle=locale.duration(time.gpu_idle_us),
                    span=locale.duration(time.gpu_span_us),
                    time=locale.duration(time.gpu_time_us),
                ),
            )
            yield _("Device"), self._device()
            yield _("Achieved by matrix operators while they run on the GPU"), self._achieved()
            if flops.matrix is not None and flops.covered_gpu_time_share is not None:
                covered = locale.percent(flops.covered_gpu_time_share)
                yield _("Share of the GPU time of operators whose cost is known"), covered
        else:
            yield _("Device"), f"{_('CPU')} ({self._text(view.why_no_gpu())})"
        facts = [
            (_("Model class"), model.class_ and markdown_code(model.class_)),
            (_("Mode"), model.mode and markdown_text(model.mode)),
            (_("Batch size"), model.batch_size and locale.count(model.batch_size)),
            (_("Data type"), model.dtype and markdown_text(model.dtype)),
            (_("Vocabulary size"), model.vocab_size and locale.count(model.vocab_size)),
        ]
        yield from ((label, value) for label, value in facts if value)
        source = MODULE_SOURCES.get(report.trace.module_source or "")
        yield (
            _("Modules come from"),
            self._text(source) if source is not None else f"{DASH} ({self._text(view.why_no_modules())})",
        )
        yield _("Trace"), self._trace()

    def _device(self) -> str:
        device, locale = self.report.device, self.locale
        name = markdown_text(device.name) if device.name else DASH
        peaks = [
            f"{markdown_text(dtype)} {locale.fixed(peak, 1)}" for dtype, peak in (device.peaks or {}).items()
        ]
        figures = [f"{', '.join(peaks)} TFLOP/s"] if peaks else []
        if device.bandwidth_gbs is not None:
            figures.append(f"{locale.count(round(device.bandwidth_gbs))} {locale._('GB/s')}")
        if not figures and device.note is not None:
            figures = [self._text(device.note)]
        return f"{name} ({'; '.join(figures)})" if figures else name

    def _achieved(self) -> str:
        report, locale = self.report, self.locale
        if report.flops.achieved_tflops is None:
            return f"{DASH} ({self._text(view.why_no_flops(report))})"
        shown = locale.flops_rate(report.flops.achieved_tflops)
        if report.flops.peak_share is None:
            return shown
        share = locale._("{share} of the device's peak").format(share=locale.percent(report.flops.peak_share))
        return f"{shown} ({share})"

    def _trace(self) -> str:
        trace, locale = self.report.trace, self.locale
        events = locale.ngettext("{n} event", "{n} events", trace.events)
        return f"{markdown_code(PurePath(trace.path).name)} ({locale.bytes(trace.bytes)}, {events})"

    def by_kind(self, groups: Sequence[view.BlockGroup], field: str) -> str:
        """A number per kind of block; the bare number where there is one kind only."""
        known = [(group, view.range_of(group, field)) for group in groups]
        shown = [(group, values) for group, values in known if values is not None and values[1] > 0]
        if not shown:
            return f"{DASH} ({self._text(self._why_not_by_kind(field))})"
        unit = None if field == "parameters" else "F"
        if len(groups) == 1:
            return sections.range_text(self.locale, shown[0][1], unit)
        labels = [sections.group_label(self.locale, groups, group) for group, _values in shown]
        numbers = [sections.range_text(self.locale, values, unit) for _group, values in shown]
        return "; ".join(f"{label} — {number}" for label, number in zip(labels, numbers, strict=True))

    def _why_not_by_kind(self, field: str) -> Message:
        if not self.report.blocks:
            return view.why_no_blocks(self.report)
        if field == "parameters":
            return N_("the trace does not say: capture it with tracekit capture")
        if self.report.flops.matrix is None:
            return view.why_no_flops(self.report)
        return N_("no such part was found in the blocks")
