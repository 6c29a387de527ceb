"""`report.md`: the sections that users of the predecessor know, in their order, then the new ones.

The template holds the order and the headings; here are the facts that stand in its lists, and
`tracekit.report.sections` makes its tables. Every value reaches the template as finished Markdown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import PurePath
from typing import TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from tracekit.analysis.schema import GpuState, Report
from tracekit.messages import N_, Message
from tracekit.report import (
    hta_sections,
    model_facts,
    pass_sections,
    reasons,
    roofline_sections,
    sections,
    shared_facts,
    view,
)
from tracekit.report.escape import markdown_name, markdown_quote
from tracekit.report.i18n import DASH, Locale
from tracekit.report.phase_view import PassFigures, each, each_with_note, pass_figures, side_by_side

Value = TypeVar("Value")

MODULE_SOURCES = {
    "scopes": N_("scopes of tracekit capture"),
    "frames": N_("nn.Module frames of the profiler"),
    "ranges": N_("user ranges named as a module tree"),
}


def render_markdown(report: Report, locale: Locale, top: int = 20, *, pictures: str | None = "png") -> str:
    """The Markdown report with the `top` slowest modules; `pictures`: the kind of those beside it, if any."""
    facts = _Facts(report, locale)
    text = markdown_template("report.md.j2").render(
        _=locale._,
        title=markdown_name(view.title(report)),
        model={name: facts.of_model(name) for name in model_facts.LISTED},
        forward_time=facts.forward_time(),
        flops_per_pass=facts.flops_per_pass(),
        headline=facts.headline(),
        more_facts=list(facts.more()),
        pictures=pictures,
        # Where nothing is known of bounds, their sections say why.
        bound_pictures=pictures if reasons.why_no_bounds(report) is None else None,
        block_parameters=facts.by_kind(view.block_groups(report), "parameters"),
        attention_flops=facts.by_phase_and_kind("attention_flops"),
        ffn_flops=facts.by_phase_and_kind("ffn_flops"),
        mixer_flops=facts.by_phase_and_kind("mixer_flops")
        if any(map(_has_mixer, view.block_groups(report)))
        else "",
        block_efficiency=sections.block_efficiency(report, locale),
        block_kinds=sections.block_kinds(report, locale),
        types=sections.types(report, locale),
        top=top,
        slowest=sections.slowest(report, locale, top),
        phases=pass_sections.phases(report, locale),
        headroom=roofline_sections.headroom(report, locale, top),
        accounting=sections.accounting(report, locale),
        roofline=roofline_sections.by_type(report, locale),
        block_parts=roofline_sections.block_parts(report, locale),
        passes=sections.passes(report, locale),
        memory=pass_sections.memory(report, locale, top),
        rows=sections.ROWS,
        kernels=sections.kernels(report, locale),
        ops=sections.ops(report, locale),
        slow_ops=roofline_sections.slow_ops(report, locale),
        uncosted=roofline_sections.uncosted(report, locale),
        regions=sections.regions(report, locale),
        findings=sections.findings(report, locale),
        lacks=sections.lacks(report, locale),
        hta=hta_sections.hta(report, locale),
    )
    return text.strip("\n") + "\n"


def fact_list(report: Report, locale: Locale) -> str:
    """The facts of the report's first sections as one Markdown list."""
    facts, _ = _Facts(report, locale), locale._
    lines = [
        (_("Time of the forward pass"), facts.forward_time()),
        *((locale.message(label), facts.of_model(name)) for name, label in model_facts.LISTED.items()),
        ("FLOPs / forward", facts.flops_per_pass()),
        (_("Achieved performance"), facts.headline()),
        *facts.more(),
    ]
    return "\n".join(f"- {label}: {value}" for label, value in lines)


@cache
def markdown_template(name: str) -> Template:
    """A template of `templates/` by its file name."""
    environment = Environment(
        loader=PackageLoader("tracekit.report"),
        extensions=["jinja2.ext.i18n"],
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Not HTML: values are escaped for Markdown before they come to the template.
        autoescape=False,
    )
    return environment.get_template(name)


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
        return self.locale.message(message, markdown_quote)

    def of_model(self, field: str) -> str:
        value = getattr(self.report.model, field)
        if field == "num_blocks" and value is None and self.report.blocks:
            value = len(self.report.blocks)
        if isinstance(value, str):
            return markdown_name(value)
        return self._or_why(value, self.locale.count, model_facts.why_no_field(self.report, field))

    def _of_passes(self, show: Callable[[PassFigures], str]) -> str:
        return each(pass_figures(self.report), show, sections.phase_name)

    def forward_time(self) -> str:
        locale, _ = self.locale, self.locale._

        def time(one: PassFigures) -> str:
            return locale.duration(one.wall_us if one.latency_us is None else one.latency_us)

        def basis(one: PassFigures) -> str:
            if one.latency_us is not None:
                return _("latency, measured without the profiler")
            if one.wall_us is None:
                return self._text(reasons.why_no_passes())
            return f"{_('wall time under the profiler')}, {view.median_of(one.passes, locale)}"

        return each_with_note(pass_figures(self.report), time, basis, sections.phase_name)

    def flops_per_pass(self) -> str:
        def source(one: PassFigures) -> str:
            if not one.matrix_flops:
                return self._text(reasons.why_no_pass_flops(self.report))
            if self.report.flops.source == "flop_counter":
                return self.locale._("counted by torch.utils.flop_counter at capture")
            return ""

        return each_with_note(
            pass_figures(self.report),
            lambda one: self.locale.flops(one.matrix_flops or None),
            source,
            sections.phase_name,
        )

    def headline(self) -> str:
        def basis(one: PassFigures) -> str:
            if one.headline_tflops is None:
                return self._text(reasons.why_no_pass_flops(self.report))
            return self._basis(view.BASES.get(one.headline_basis or ""))

        return each_with_note(
            pass_figures(self.report),
            lambda one: self.locale.flops_rate(one.headline_tflops),
            basis,
            sections.phase_name,
        )

    def _basis(self, basis: Message | None) -> str:
        notes = [self._text(basis)] if basis is not None else []
        if not view.has_gpu(self.report):
            notes.append(self.locale._("on the CPU"))
        return ", ".join(notes)

    def _median(self, us: float | None, count: int, least: float | None, most: float | None) -> str:
        locale = self.locale
        notes = [view.median_of(count, locale)] if count else []
        spread = list(dict.fromkeys((locale.duration(least), locale.duration(most))))
        if len(spread) > 1:
            notes.append(" – ".join(spread))
        return f"{locale.duration(us)} ({'; '.join(notes)})" if notes else locale.duration(us)

    def _latency(self, one: PassFigures) -> str:
        if one.latency_us is None:
            return f"{DASH} ({self._text(reasons.why_no_latency(self.report))})"
        return self._median(one.latency_us, one.latency_passes, one.latency_min_us, one.latency_max_us)

    def _wall(self, one: PassFigures) -> str:
        if one.wall_us is None:
            return f"{DASH} ({self._text(reasons.why_no_passes())})"
        return self._median(one.wall_us, one.passes, one.wall_min_us, one.wall_max_us)

    def _gpu_time(self, one: PassFigures) -> str:
        if one.gpu_time_us is None:
            return f"{DASH} ({self._text(reasons.why_no_passes())})"
        return self._median(one.gpu_time_us, one.passes, None, None)

    def _times(self) -> Iterator[tuple[str, str]]:
        """The truth about a pass, then what the profiler makes of it, then what of that is the GPU's."""
        _ = self.locale._
        if self.report.time.passes or self.report.time.latency_us is not None:
            yield _("Latency without the profiler"), self._of_passes(self._latency)
            yield _("Wall time of a pass under the profiler"), self._of_passes(self._wall)
            if view.has_gpu(self.report):
                yield _("GPU time per pass"), self._of_passes(self._gpu_time)
        yield from self._tokens()
        yield from self._steps()

    def _tokens(self) -> Iterator[tuple[str, str]]:
        locale, _ = self.locale, self.locale._

        def tokens(one: PassFigures) -> str:
            if one.tokens is None:
                return DASH
            if one.cache_length is None:
                return locale.count(one.tokens)
            return _("{tokens} (in the cache before: {cached})").format(
                tokens=locale.count(one.tokens), cached=locale.count(one.cache_length)
            )

        figures = pass_figures(self.report)
        if any(one.tokens is not None for one in figures):
            yield _("New tokens per sequence and pass"), self._of_passes(tokens)
        if any(one.tokens_per_second is not None for one in figures):
            speeds = self._of_passes(lambda one: locale.fixed(one.tokens_per_second, 1))
            yield _("Tokens per second"), speeds

    def _steps(self) -> Iterator[tuple[str, str]]:
        """Whole steps of training, or of a loop."""
        time, flops, locale, _ = self.report.time, self.report.flops, self.locale, self.locale._
        if time.step_latency_us is not None:
            yield _("Step without the profiler"), locale.duration(time.step_latency_us)
        if time.step_wall_us is not None:
            over = locale.ngettext("median of {n} step", "median of {n} steps", time.steps)
            over = _("one step") if time.steps == 1 else over
            yield (
                _("Step under the profiler"),
                f"{locale.duration(time.step_wall_us)} (`ProfilerStep`, {over})",
            )
        if flops.matrix_per_step:
            yield _("FLOPs / step"), locale.flops(flops.matrix_per_step)
        if flops.step_tflops is not None:
            basis = view.STEP_BASES.get(flops.step_basis or "")
            shown = f"{locale.flops_rate(flops.step_tflops)} ({self._basis(basis)})"
            yield _("Achieved performance of a step"), shown

    def more(self) -> Iterator[tuple[str, str]]:
        """Label and value of what the predecessor did not have."""
        report, locale, _ = self.report, self.locale, self.locale._
        time, flops, model = report.time, report.flops, report.model
        yield from self._times()
        if view.has_gpu(report):
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
            yield from self._gpu_states()
            yield from self._memory()
            yield _("Achieved by matrix operators while they run on the GPU"), self._achieved()
            if flops.matrix is not None and flops.covered_gpu_time_share is not None:
                covered = locale.percent(flops.covered_gpu_time_share)
                if flops.costed_gpu_time_share is not None:
                    whole = locale.percent(flops.costed_gpu_time_share)
                    covered = _("{share} of that with shapes, {whole} of all GPU time").format(
                        share=covered, whole=whole
                    )
                yield _("Share of the GPU time of operators whose cost is known"), covered
            if flops.causal_matrix is not None:
                yield (
                    _("Matrix FLOPs that causal masks leave, whole trace"),
                    locale.flops(flops.causal_matrix),
                )
            if bound := shared_facts.bound_of_a_pass(report, locale):
                yield _("Bound of a pass") if report.time.passes else _("Bound of the whole trace"), bound
        else:
            name = markdown_name(report.device.name) if report.device.name else _("CPU")
            yield _("Device"), f"{name} ({self._text(reasons.why_no_gpu())})"
        facts = [
            (_("Model class"), model.class_ and markdown_quote(model.class_)),
            (_("Mode"), model.mode and markdown_name(model.mode)),
            (_("Batch size"), model.batch_size and locale.count(model.batch_size)),
            (_("Data type"), model.dtype and markdown_name(model.dtype)),
            (_("Vocabulary size"), model.vocab_size and locale.count(model.vocab_size)),
        ]
        yield from ((label, value) for label, value in facts if value)
        yield from model_facts.more_facts(model, locale)
        source = MODULE_SOURCES.get(report.trace.module_source or "")
        yield (
            _("Modules come from"),
            self._text(source) if source is not None else f"{DASH} ({self._text(reasons.why_no_modules())})",
        )
        yield _("Trace"), self._trace()

    def _device(self) -> str:
        device, locale = self.report.device, self.locale
        name = markdown_name(device.name) if device.name else DASH
        peaks = [
            f"{markdown_name(dtype)} {locale.fixed(peak, 1)}" for dtype, peak in (device.peaks or {}).items()
        ]
        figures = [f"{', '.join(peaks)} TFLOP/s"] if peaks else []
        if device.bandwidth_gbs is not None:
            figures.append(f"{locale.count(round(device.bandwidth_gbs))} {locale._('GB/s')}")
        if not figures and device.note is not None:
            figures = [self._text(device.note)]
        return f"{name} ({'; '.join(figures)})" if figures else name

    def _memory(self) -> Iterator[tuple[str, str]]:
        memory, locale, _ = self.report.memory, self.locale, self.locale._
        shown = [
            text.format(size=locale.bytes(size))
            for text, size in (
                (_("{size} allocated"), memory.peak_allocated_bytes),
                (_("{size} reserved"), memory.peak_reserved_bytes),
                (_("{size} allocated before the passes"), memory.allocated_before_bytes),
            )
            if size is not None
        ]
        if shown:
            yield _("Peak of the device memory"), ", ".join(shown)

    def _gpu_states(self) -> Iterator[tuple[str, str]]:
        """What the driver said of each GPU before and after the passes."""
        telemetry, _ = self.report.device.telemetry, self.locale._
        if telemetry is None:
            return
        for position, (before, after) in enumerate(view.gpu_states(telemetry)):
            number = next((one.index for one in (before, after) if one and one.index is not None), position)
            if text := ", ".join(self._gpu_state(before, after)):
                label = _("GPU {index}, before → after the passes").format(index=number)
                yield label, text

    def _gpu_state(self, before: GpuState | None, after: GpuState | None) -> Iterator[str]:
        locale, _ = self.locale, self.locale._

        def change(field: str) -> str:
            values = [getattr(one, field) if one else None for one in (before, after)]
            texts = [
                markdown_name(value, 8) if isinstance(value, str) else locale.rounded(value)
                for value in values
            ]
            return "" if values == [None, None] else " → ".join(dict.fromkeys(texts))

        known = [one for one in (after, before) if one is not None]
        most = next((one.max_sm_clock_mhz for one in known if one.max_sm_clock_mhz is not None), None)
        limit = next((one.power_limit_w for one in known if one.power_limit_w is not None), None)
        of_most = " " + _("of {most}").format(most=locale.rounded(most)) if most is not None else ""
        of_limit = " " + _("of {most}").format(most=locale.rounded(limit)) if limit is not None else ""
        if clock := change("sm_clock_mhz"):
            yield _("SM {clock} MHz").format(clock=clock + of_most)
        if clock := change("memory_clock_mhz"):
            yield _("memory {clock} MHz").format(clock=clock)
        if temperature := change("temperature_c"):
            yield _("{temperature} °C").format(temperature=temperature)
        if power := change("power_w"):
            yield _("{power} W").format(power=power + of_limit)
        if state := change("performance_state"):
            yield _("state {state}").format(state=state)

    def _achieved(self) -> str:
        report, locale = self.report, self.locale
        if report.flops.achieved_tflops is None:
            return f"{DASH} ({self._text(reasons.why_no_flops(report))})"
        shown = locale.flops_rate(report.flops.achieved_tflops)
        if report.flops.peak_share is None:
            return shown
        share = locale._("{share} of the device's peak").format(share=locale.percent(report.flops.peak_share))
        return f"{shown} ({share})"

    def _trace(self) -> str:
        trace, locale = self.report.trace, self.locale
        events = locale.ngettext("{n} event", "{n} events", trace.events)
        return f"{markdown_quote(PurePath(trace.path).name)} ({locale.bytes(trace.bytes)}, {events})"

    def by_phase_and_kind(self, field: str) -> str:
        """`by_kind` of FLOPs, for each phase where there are several."""
        phases = side_by_side(self.report)
        texts = [self.by_kind(view.block_groups(self.report, phase), field) for phase in phases]
        if len(set(texts)) == 1:
            return texts[0]
        named = zip(phases, texts, strict=True)
        return "; ".join(f"{sections.phase_name(phase or '')}: {text}" for phase, text in named)

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
            return reasons.why_no_blocks(self.report)
        if field == "parameters":
            return N_("the trace does not say: capture it with tracekit capture")
        if all(getattr(block, field, None) is None and block.matrix_flops for block in self.report.blocks):
            return N_("nothing inside the blocks has a scope")
        if all(block.matrix_flops is None for block in self.report.blocks):
            return reasons.why_no_block_flops(self.report)
        return N_("no such part was found in the blocks")
