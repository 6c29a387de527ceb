"""The tables and lists of the Markdown report: rows of the `Report` as text that is also aligned when plain.

Each function returns finished Markdown of one section, never nothing: an empty table says why it is empty.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tracekit.analysis.schema import ModuleRow, Report, TypeRow
from tracekit.messages import N_, Message
from tracekit.report import reasons, shared_facts, view
from tracekit.report.escape import (
    clean,
    elide,
    markdown_cell_code,
    markdown_cell_name,
    markdown_name,
    markdown_quote,
)
from tracekit.report.i18n import DASH, Locale
from tracekit.report.markdown_table import table
from tracekit.report.phase_view import plain_name, side_by_side

ROWS = 10  # of kernels and of operators
REGION_ROWS = 20
PASS_ROWS = 20
TYPE_ROWS = 200
BLOCK_ROWS = 1000
NAME_WIDTH = 96  # of operators and regions: CSV and JSON hold names whole
SHAPES_WIDTH = 48
STACK_WIDTH = 40


def _note(locale: Locale, *notes: Message | str) -> str:
    """A paragraph under a table."""
    texts = [note if isinstance(note, str) else locale.message(note, markdown_quote) for note in notes]
    return f"\n\n*{'; '.join(texts)}.*"


def _only(locale: Locale, why: Message) -> str:
    """A section that has nothing but a reason."""
    return f"{DASH} ({locale.message(why, markdown_quote)})"


def _name(text: str, width: int = NAME_WIDTH) -> str:
    return markdown_cell_code(elide(clean(text), width))


def shapes_cell(shapes: str | None) -> str:
    """Shapes of an operator's inputs; those without dimensions at the end are mostly no tensors."""
    if not shapes:
        return DASH
    shown = re.sub(r"(?:, \[\])+\]$", "]", shapes)
    return markdown_cell_code(elide(clean(shown), SHAPES_WIDTH))


def module_name(locale: Locale, module: ModuleRow) -> str:
    """Its path; the root's path is empty."""
    return markdown_quote(module.path) if module.path else f"({locale._('the whole model')})"


def range_text(locale: Locale, values: view.Range, unit: str | None) -> str:
    """`147,450,624`, or with a unit of FLOPs `6.792 GF`; two numbers where a group is not uniform."""
    if values is None:
        return DASH
    shown = [locale.count(int(v)) if unit is None else locale.flops(int(v), unit) for v in values]
    return " – ".join(dict.fromkeys(shown))


def group_label(locale: Locale, groups: Sequence[view.BlockGroup], group: view.BlockGroup) -> str:
    """The kind of a group of blocks, after its stack where there are several."""
    kind = markdown_name(group.kind, STACK_WIDTH)
    several = len({g.stack for g in groups}) > 1
    return f"{markdown_name(group.stack, STACK_WIDTH)} {kind}" if several else kind


def phase_name(phase: str) -> str:
    return markdown_name(plain_name(phase))


def phase_cell(phase: str) -> str:
    """`phase_name` inside a table."""
    return markdown_cell_name(plain_name(phase))


def _stack(stack: str) -> str:
    return markdown_cell_name(stack, STACK_WIDTH)


def _speed_header(report: Report, locale: Locale, phase: str | None) -> str:
    if phase is not None:
        unit = "TFLOP/s" if view.has_gpu(report) else locale._("GFLOP/s, CPU time")
        return f"{phase_cell(phase)} ({unit})"
    return (
        locale._("Efficiency (TFLOP/s)")
        if view.has_gpu(report)
        else locale._("Efficiency (GFLOP/s, CPU time)")
    )


def block_efficiency(report: Report, locale: Locale) -> str:
    """Number and efficiency of every block, in each phase where there are several; two blocks a row."""
    if not report.blocks:
        return _only(locale, reasons.why_no_blocks(report))
    several = len(view.stacks(report)) > 1
    phases = side_by_side(report)
    header = [
        locale._("Block number"),
        *(_speed_header(report, locale, phase) for phase in phases),
    ]
    blocks = report.blocks[:BLOCK_ROWS]
    speeds = [[view.block_speed(report, block, phase) for phase in phases] for block in blocks]
    cells = [
        [f"{_stack(block.stack)} {block.index}" if several else str(block.index), *map(locale.fixed, own)]
        for block, own in zip(blocks, speeds, strict=True)
    ]
    if len(cells) % 2:
        cells.append([""] * len(header))
    rows = [[*left, *right] for left, right in zip(cells[::2], cells[1::2], strict=True)]
    align = ("l" if several else "r") + "r" * len(phases)
    text = table(header * 2, rows, align * 2)
    if rest := len(report.blocks) - len(blocks):
        text += _note(locale, locale.ngettext("{n} more", "{n} more", rest))
    if not any(None in own for own in speeds):
        return text
    if report.flops.matrix is None or not view.has_gpu(report):
        why = reasons.why_no_speed(report)
    elif all(block.matrix_flops is None for block in report.blocks):
        why = reasons.why_no_block_flops(report)
    else:
        why = N_("no matrix FLOPs were seen in this block, or no time")
    return text + _note(locale, f"{DASH}: {locale.message(why, markdown_quote)}")


def block_kinds(report: Report, locale: Locale) -> str:
    """Facts of the blocks by kind, in each phase where there are several; empty without blocks."""
    phases = side_by_side(report)
    of_phases = [view.block_groups(report, phase) for phase in phases]
    # The phases of a kind stand below each other.
    groups = [
        (phase, group)
        for of_kind in zip(*of_phases, strict=True)
        for phase, group in zip(phases, of_kind, strict=True)
    ]
    if not groups:
        return ""
    _ = locale._
    several = len({group.stack for _phase, group in groups}) > 1
    headers = [
        *([_("Stack")] if several else []),
        _("Kind"),
        _("Blocks"),
        _("Parameters"),
        *([_("Phase")] if len(phases) > 1 else []),
        _("FLOPs of the block"),
        _("attention"),
        "FFN",
        "mixer",
        _("GPU time (ms)") if view.has_gpu(report) else _("CPU time (ms)"),
    ]
    rows = [
        [
            *([_stack(group.stack)] if several else []),
            _stack(group.kind),
            locale.count(group.blocks),
            range_text(locale, group.parameters, None),
            *([phase_cell(phase)] if phase is not None else []),
            range_text(locale, group.matrix_flops, "F"),
            *(
                range_text(locale, part, "F")
                for part in (group.attention_flops, group.ffn_flops, group.mixer_flops)
            ),
            _range_ms(locale, group.time_us),
        ]
        for phase, group in groups
    ]
    basis = N_("per block and pass; two numbers are the least and the greatest of a kind")
    whole = N_("per block, over the whole trace; two numbers are the least and the greatest of a kind")
    notes: list[Message | str] = [basis if view.is_per_pass(report) else whole]
    if report.flops.matrix is None:
        notes.append(f"{DASH}: {locale.message(reasons.why_no_flops(report), markdown_quote)}")
    elif any(DASH in row for row in rows):
        notes.append(f"{DASH}: {_('the trace does not say')}")
    align = "l" * (1 + several) + "rr" + "l" * (len(phases) > 1) + "r" * 5
    return table(headers, rows, align) + _note(locale, *notes)


def _range_ms(locale: Locale, values: view.Range) -> str:
    return DASH if values is None else " – ".join(dict.fromkeys(locale.milliseconds(us) for us in values))


def types(report: Report, locale: Locale) -> str:
    """Self time of the module types over the whole trace; on a GPU it adds up to the GPU time."""
    timed = view.types_by_time(report)
    if not timed:
        return _only(locale, reasons.why_no_modules())
    of_modules = [pair for pair in timed if pair[0].kind == "modules"]
    rest = of_modules[TYPE_ROWS:]
    shown = of_modules[:TYPE_ROWS] + timed[len(of_modules) :]
    _, on_gpu = locale._, view.has_gpu(report)
    headers = [
        _("Type"),
        _("Count"),
        _("Total GPU time (ms)") if on_gpu else _("Total CPU time (ms)"),
        _("Mean (ms)"),
    ]
    with_backward = view.has_backward(report)
    if with_backward:
        headers.append(_("Backward GPU time (ms)"))
    phases = [phase for phase in side_by_side(report) if phase is not None]
    headers += [f"{phase_cell(phase)} ({_('ms')})" for phase in phases]
    rows = [
        [
            _type_name(locale, row),
            locale.count(row.modules) if row.kind == "modules" else DASH,
            locale.milliseconds(us),
            locale.milliseconds(us / row.calls, 4) if row.calls else DASH,
            *([_backward(locale, row)] if with_backward else []),
            *(locale.milliseconds(view.type_time_us(report, row, phase)) for phase in phases),
        ]
        for row, us in shown
    ]
    if rest:
        modules, us = sum(row.modules for row, _us in rest), sum(us for _row, us in rest)
        more = locale.ngettext("{n} more", "{n} more", len(rest))
        figures = [locale.count(modules), locale.milliseconds(us)]
        rows.insert(TYPE_ROWS, [more, *figures, *[""] * (len(headers) - 3)])
    passes = report.time.passes
    over = locale.ngettext("{n} pass", "{n} passes", passes) if passes else _("no pass was found")
    notes: list[Message | str] = [
        _("self time, without that of modules inside, over the whole trace ({passes})").format(passes=over),
        _("count: modules; mean: per call"),
    ]
    if on_gpu:
        if any(row.kind != "modules" for row, _us in timed):
            notes.append(_("{dash}: is no module, has no calls").format(dash=DASH))
        total = [f"**{_('Total')}**", "", locale.milliseconds(report.time.gpu_time_us), ""]
        if with_backward:
            total.append(locale.milliseconds(report.accounting.modules_backward.us))
            label = locale.message(view.KIND_LABELS["modules_backward"])
            notes.append(_("backward GPU time: “{row}” split by type").format(row=label))
        rows.append([*total, *[""] * len(phases)])
    if phases:
        names = ", ".join(map(phase_name, phases))
        notes.append(_("{phases}: self time in a pass of that phase, median").format(phases=names))
    if not report.modules:
        notes.append(reasons.why_no_modules())
    return table(headers, rows, "l" + "r" * (len(headers) - 1)) + _note(locale, *notes)


def _backward(locale: Locale, row: TypeRow) -> str:
    us = row.gpu_backward_self_time_us
    return DASH if us is None else locale.milliseconds(us)


def _type_name(locale: Locale, row: TypeRow) -> str:
    label = view.type_label(row)
    return locale.message(label) if isinstance(label, Message) else markdown_cell_name(label, NAME_WIDTH)


def slowest(report: Report, locale: Locale, top: int) -> str:
    """The modules with most self time, a list for each phase where there are several."""
    phases = side_by_side(report)
    lists = [_slowest_of(report, locale, top, phase) for phase in phases]
    if len(phases) == 1:
        return lists[0]
    return "\n\n".join(
        f"### {phase_name(phase or '')}\n{text}" for phase, text in zip(phases, lists, strict=True)
    )


def _slowest_of(report: Report, locale: Locale, top: int, phase: str | None) -> str:
    timed = view.slowest_modules(report, top, phase)
    if not timed:
        return _only(locale, reasons.why_no_module_times(report))
    lines = []
    for module, us in timed:
        kind = f" ({markdown_name(module.type, NAME_WIDTH)})" if module.type else ""
        line = f"- {locale.milliseconds(us)} {locale._('ms')} — {module_name(locale, module)}{kind}"
        if backward := view.backward_time_us(report, module):
            line += locale._(", backward {time} ms").format(time=locale.milliseconds(backward))
        lines.append(line)
    return "\n".join(lines) + _note(locale, view.self_time_basis(report, locale, phase, phase_name))


def accounting(report: Report, locale: Locale) -> str:
    """The split of the GPU time, which adds up to 100 %."""
    if not view.has_gpu(report):
        return _only(locale, reasons.why_no_gpu())
    _, split = locale._, report.accounting
    rows = [
        [share.label, locale.count(share.events), locale.milliseconds(share.us), share.percentage_text]
        for share in shared_facts.accounted(report, locale)
    ]
    total = locale.with_percent_sign(locale.fixed(100.0, 1))
    rows.append(
        [f"**{_('Total')}**", locale.count(split.gpu_events), locale.milliseconds(split.gpu_time_us), total]
    )
    return table([_("Launched by"), _("GPU events"), _("GPU time (ms)"), _("Share")], rows, "lrrr")


def passes(report: Report, locale: Locale) -> str:
    """The passes one by one; of many the first, the last and the outliers."""
    if not report.passes:
        return _only(locale, reasons.why_no_passes())
    _, on_gpu = locale._, view.has_gpu(report)
    with_phase = side_by_side(report) != [None]
    headers = [_("Pass"), *([_("Phase")] if with_phase else []), _("Wall (ms)")]
    headers += [_("GPU time (ms)"), _("Busy (ms)"), _("Idle (ms)")] if on_gpu else [_("CPU time (ms)")]
    headers.append(_("Remark"))
    rows = []
    for row in view.folded_passes(report.passes, PASS_ROWS):
        if isinstance(row, int):
            more = locale.ngettext("{n} more", "{n} more", row)
            rows.append(["…", *[""] * (len(headers) - 2), more])
            continue
        times = (row.gpu_time_us, row.gpu_busy_us, row.gpu_idle_us) if on_gpu else (row.cpu_time_us,)
        remark = _("outlier") if row.outlier else ""
        phase = [phase_cell(row.phase) if row.phase else DASH] if with_phase else []
        milliseconds = [locale.milliseconds(us) for us in (row.wall_us, *times)]
        rows.append([str(row.index), *phase, *milliseconds, remark])
    text = table(headers, rows, "r" + "l" * with_phase + "r" * (4 if on_gpu else 2) + "l")
    if not on_gpu:
        return text
    return text + _note(locale, N_("busy and idle: between the pass's first and last GPU event"))


def kernels(report: Report, locale: Locale) -> str:
    """The kernels, copies and fills with most GPU time."""
    if not report.kernels:
        return _only(locale, reasons.why_no_gpu())
    _, total, names = locale._, report.time.gpu_time_us, view.kernel_names(report)
    ranked = sorted(report.kernels[: view.TABLE_ROWS], key=lambda row: -row.gpu_time_us)[:ROWS]
    rows = [
        [
            markdown_cell_code(names[row.name]),
            locale.count(row.calls),
            locale.milliseconds(row.gpu_time_us),
            locale.percent(row.gpu_time_us / total) if total else DASH,
            locale.fixed(row.mean_us),
        ]
        for row in ranked
    ]
    headers = [_("Kernel"), _("Calls"), _("GPU time (ms)"), _("Share"), _("Mean (µs)")]
    return table(headers, rows, "lrrrr")


def ops(report: Report, locale: Locale) -> str:
    """The operators with the most matrix FLOPs, all calls together."""
    counted = [(row, row.matrix_flops) for row in report.ops if row.matrix_flops]
    if not counted:
        return _only(locale, reasons.why_no_flops(report))
    _, on_gpu = locale._, view.has_gpu(report)
    ranked = sorted(counted, key=lambda pair: -pair[1])[:ROWS]
    with_causal = any(row.causal_matrix_flops is not None for row, _flops in ranked)
    rows = []
    for row, flops in ranked:
        time = row.gpu_time_us if on_gpu else row.cpu_time_us
        speed = row.tflops if on_gpu else row.cpu_gflops
        shapes = shapes_cell(row.shapes)
        causal = [locale.flops(row.causal_matrix_flops or flops, "F")] if with_causal else []
        figures = (locale.flops(flops, "F"), *causal, locale.milliseconds(time), locale.fixed(speed))
        rows.append([_name(row.name), shapes, locale.count(row.calls), *figures])
    time_header = _("GPU time (ms)") if on_gpu else _("CPU time (ms)")
    speed_header = "TFLOP/s" if on_gpu else _("GFLOP/s, CPU time")
    causal_header = [_("Causal FLOPs")] if with_causal else []
    headers = [_("Operator"), _("Shapes"), _("Calls"), "FLOPs", *causal_header, time_header, speed_header]
    text = table(headers, rows, "ll" + "r" * (len(headers) - 2))
    if any(DASH in row for row in rows):
        why = N_("no GPU time was seen for this operator") if on_gpu else reasons.why_no_speed(report)
        return text + _note(locale, f"{DASH}: {locale.message(why, markdown_quote)}")
    return text


def regions(report: Report, locale: Locale) -> str:
    """The user's own ranges."""
    if not report.regions:
        return _only(locale, N_("the trace has no record_function ranges of the user's own"))
    _, on_gpu = locale._, view.has_gpu(report)
    rows = [
        [
            _name(row.name),
            locale.count(row.calls),
            locale.milliseconds(row.cpu_time_us),
            *([locale.milliseconds(row.gpu_time_us)] if on_gpu else []),
        ]
        for row in report.regions[:REGION_ROWS]
    ]
    headers = [_("Region"), _("Calls"), _("CPU time (ms)"), *([_("GPU time (ms)")] if on_gpu else [])]
    text = table(headers, rows, "lrrr"[: len(headers)])
    rest = len(report.regions) - len(rows)
    return text + _note(locale, locale.ngettext("{n} more", "{n} more", rest)) if rest > 0 else text


def findings(report: Report, locale: Locale) -> str:
    """What should be known or could be changed, worst first."""
    if not report.findings:
        return locale._("Nothing stands out.")
    lines = []
    for finding in report.findings:
        label, evidence, advice = shared_facts.finding_words(finding, locale, markdown_quote)
        subject = f"{markdown_quote(finding.module)}: " if finding.module else ""
        gain = f" {gained}" if (gained := shared_facts.gain(finding, locale)) else ""
        lines.append(f"- **{label}** — {subject}{evidence}. {advice}.{gain}")
    return "\n".join(lines)


def lacks(report: Report, locale: Locale) -> str:
    """What the trace lacks, and what was wrong with it."""
    messages = [*reasons.missing(report), *report.trace.warnings]
    texts = dict.fromkeys(locale.message(message, markdown_quote) for message in messages)
    return "\n".join(f"- {text}" for text in texts) or locale._("Nothing.")
