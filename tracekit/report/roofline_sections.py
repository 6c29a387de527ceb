"""Tables of the Markdown report about limits: what would be won where, rooflines, parts of blocks, costs.

Each function returns finished Markdown of one section, never nothing, except where it says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracekit.analysis.schema import BlockKindRow, HeadroomRow, Report, Roofline
from tracekit.messages import N_, Message
from tracekit.report import reasons, view
from tracekit.report.escape import clean, elide, markdown_cell_code, markdown_cell_name, markdown_quote
from tracekit.report.i18n import DASH, Locale
from tracekit.report.markdown_table import table
from tracekit.report.sections import SHAPES_WIDTH, STACK_WIDTH, phase_name, shapes_cell

ROWS = 10
TYPE_ROWS = 20
NAME_WIDTH = 72

WAITS = {
    "launches": N_("the GPU waits for launches"),
    "synchronisation": N_("the GPU waits after a synchronisation"),
    "queued": N_("between kernels that are queued"),
}
REASONS = {
    "launched_before_trace": N_("launched before the trace began"),
    "no_op": N_("launched by no operator"),
    "no_shapes": N_("its operator has no shapes"),
    "no_formula": N_("no formula for its operator"),
    "formula_lacks_inputs": N_("its operator does not show what the formula needs"),
}


def headroom(report: Report, locale: Locale, top: int) -> str:
    """Where most would be won, all blocks together."""
    if why := reasons.why_no_bounds(report):
        return _only(locale, why)
    if not report.headroom:
        return _only(locale, N_("nothing on the GPU has a known bound"))
    _ = locale._
    headers = [
        _("Where"),
        _("Modules"),
        _("GPU time (ms)"),
        _("Bound (ms)"),
        _("To be won (ms)"),
        _("Share of the pass"),
        _("Limited by"),
    ]
    rows = [
        [
            _place(locale, row),
            locale.count(row.modules) if row.kind == "modules" else DASH,
            DASH if row.kind in WAITS else locale.milliseconds(row.gpu_time_us),
            locale.milliseconds(row.bound_us),
            locale.milliseconds(row.headroom_us),
            locale.percent(row.share),
            limit(locale, row.limited_by),
        ]
        for row in report.headroom[:top]
    ]
    notes = [_("self time, {basis}").format(basis=view.per_pass_text(report, locale, name=phase_name))]
    notes.append(
        _("bound: the least that FLOPs and bytes of these operators, as they are, take on this device")
    )
    notes.append(_("operators that are fused move fewer bytes, so that fusing can win more than this"))
    rest = len(report.headroom) - len(rows)
    if rest > 0:
        notes.append(locale.ngettext("{n} more", "{n} more", rest))
    return table(headers, rows, "lrrrrrl") + _note(*notes)


def _place(locale: Locale, row: HeadroomRow) -> str:
    if row.kind != "modules":
        return f"({locale.message((WAITS | view.KIND_LABELS)[row.kind])})"
    if not row.place:
        return f"({locale._('the whole model')})"
    return markdown_cell_code(elide(clean(row.place), NAME_WIDTH))


def by_type(report: Report, locale: Locale) -> str:
    """How far module types are from their bounds; with the modules inside."""
    if why := reasons.why_no_bounds(report):
        return _only(locale, why)
    bounded = [row for row in report.types if row.bounded_gpu_time_us]
    if not bounded:
        return _only(locale, N_("nothing on the GPU has a known bound"))
    ranked = sorted(bounded, key=lambda row: -row.gpu_time_us)[:TYPE_ROWS]
    rows = [
        [
            markdown_cell_name(row.type, NAME_WIDTH),
            locale.milliseconds(row.gpu_time_us),
            *roofline_cells(locale, row, tflops_of(row.matrix_flops, row.gpu_time_us)),
        ]
        for row in ranked
    ]
    headers = [locale._("Type"), locale._("GPU time (ms)"), *roofline_headers(locale)]
    note = locale._("over the whole trace, with the modules inside")
    return table(headers, rows, "lrrrrrrl") + _note(note, *_beaten_note(locale, ranked))


def tflops_of(matrix_flops: int | None, us: float) -> float | None:
    return matrix_flops / us / 1e6 if matrix_flops and us else None


def roofline_headers(locale: Locale) -> list[str]:
    _ = locale._
    return ["TFLOP/s", _("GB/s"), _("FLOP/byte"), _("Bound (ms)"), _("Bound reached"), _("Limited by")]


def roofline_cells(locale: Locale, row: Roofline, tflops: float | None) -> list[str]:
    return [
        locale.fixed(tflops),
        locale.fixed(row.gbs, 1),
        locale.fixed(row.arithmetic_intensity, 1),
        locale.milliseconds(row.bound_us),
        bound_share(locale, row),
        limit(locale, row.limited_by),
    ]


def bound_share(locale: Locale, row: Roofline) -> str:
    """The share of the bound that is reached; what is faster than memory can be is said to be."""
    if row.beats_bound:
        return f">{locale.percent(1.0, 0)}"
    return locale.percent(row.bound_share)


def limit(locale: Locale, name: str | None) -> str:
    return DASH if name is None else locale.message(view.LIMITS[name])


def _beaten_note(locale: Locale, rows: Sequence[Roofline]) -> list[str]:
    if not any(row.beats_bound for row in rows):
        return []
    return [locale._("more than all of the bound: the data were in a cache or never left the chip")]


def block_parts(report: Report, locale: Locale) -> str:
    """Parts of the blocks of each kind, and of all; empty without blocks."""
    if not report.block_kinds:
        return ""
    _, on_gpu = locale._, view.has_gpu(report)
    several = len({row.stack for row in report.block_kinds if row.stack is not None}) > 1
    headers = [
        *([_("Stack")] if several else []),
        _("Kind"),
        _("Part"),
        _("Blocks"),
        _("FLOPs"),
        _("GPU time (ms)") if on_gpu else _("CPU time (ms)"),
        *([_("Share"), "TFLOP/s", _("Bound reached"), _("Limited by")] if on_gpu else []),
    ]
    rows = [_part_cells(report, locale, row, several) for row in report.block_kinds]
    notes = [
        _("all blocks of a kind together"),
        view.per_pass_text(report, locale, name=phase_name)
        if _parts_per_pass(report)
        else _("over the whole trace"),
    ]
    if on_gpu:
        notes += _beaten_note(locale, report.block_kinds)
    align = "l" * (2 + several) + "rrr" + ("rrrl" if on_gpu else "")
    return table(headers, rows, align) + _note(*notes)


def _parts_per_pass(report: Report) -> bool:
    rows = report.block_kinds
    return view.is_per_pass(report) and (view.has_gpu(report) or rows[0].cpu_time_per_pass_us is not None)


def _part_cells(report: Report, locale: Locale, row: BlockKindRow, several: bool) -> list[str]:
    _, whole = locale._, row.part is None
    kind = markdown_cell_name(row.kind, STACK_WIDTH) if row.kind is not None else _("all kinds")
    per_pass = _parts_per_pass(report)
    flops = row.matrix_flops_per_pass if per_pass else row.matrix_flops
    cells = [kind, _part(locale, row.part), locale.count(row.blocks)]
    if several:
        cells.insert(0, DASH if row.stack is None else markdown_cell_name(row.stack, STACK_WIDTH))
    cells.append(locale.flops(flops, "F"))
    if view.has_gpu(report):
        cells += [
            locale.milliseconds(row.gpu_time_per_pass_us if per_pass else row.gpu_time_us),
            locale.percent(row.time_share),
            locale.fixed(row.tflops),
            bound_share(locale, row),
            limit(locale, row.limited_by),
        ]
    else:
        cells.append(locale.milliseconds(row.cpu_time_per_pass_us if per_pass else row.cpu_time_us))
    return [f"**{cell}**" if whole and cell != DASH else cell for cell in cells]


def _part(locale: Locale, part: str | None) -> str:
    if part is None:
        return locale._("the whole block")
    return locale.message(view.PARTS[part]) if part in view.PARTS else markdown_cell_name(part)


def slow_ops(report: Report, locale: Locale) -> str:
    """The operators with most GPU time above their bound, all calls together."""
    if why := reasons.why_no_bounds(report):
        return _only(locale, why)
    ranked = sorted(
        (row for row in report.ops if row.headroom_us), key=lambda row: -(row.headroom_us or 0.0)
    )[:ROWS]
    if not ranked:
        return _only(locale, N_("nothing on the GPU has a known bound"))
    _ = locale._
    rows = [
        [
            markdown_cell_code(elide(clean(row.name), NAME_WIDTH)),
            shapes_cell(row.shapes),
            locale.count(row.calls),
            locale.milliseconds(row.gpu_time_us),
            *roofline_cells(locale, row, row.tflops),
        ]
        for row in ranked
    ]
    headers = [_("Operator"), _("Shapes"), _("Calls"), _("GPU time (ms)"), *roofline_headers(locale)]
    return table(headers, rows, "llrrrrrrrl") + "".join(_note(text) for text in _beaten_note(locale, ranked))


def uncosted(report: Report, locale: Locale) -> str:
    """The kernels whose cost is not known, and why."""
    if not view.has_gpu(report):
        return _only(locale, reasons.why_no_gpu())
    _ = locale._
    if not report.uncosted:
        return _("The cost of every kernel is known.")
    total, names = report.time.gpu_time_us, view.kernel_names(report)
    rows = [
        [
            markdown_cell_code(names[row.kernel]),
            markdown_cell_code(elide(clean(row.op), SHAPES_WIDTH)) if row.op else DASH,
            locale.count(row.calls),
            locale.milliseconds(row.gpu_time_us),
            locale.percent(row.gpu_time_us / total) if total else DASH,
            locale.message(REASONS[row.reason]),
        ]
        for row in report.uncosted[:ROWS]
    ]
    headers = [_("Kernel"), _("Operator"), _("Calls"), _("GPU time (ms)"), _("Share"), _("Why")]
    text = table(headers, rows, "llrrrl")
    rest = len(report.uncosted) - len(rows)
    return text + _note(locale.ngettext("{n} more", "{n} more", rest)) if rest > 0 else text


def _note(*notes: str) -> str:
    return f"\n\n*{'; '.join(notes)}.*"


def _only(locale: Locale, why: Message) -> str:
    return f"{DASH} ({locale.message(why, markdown_quote)})"
