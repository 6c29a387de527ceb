"""Pictures of time by module and by module type."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from tracekit.analysis.schema import Report
from tracekit.messages import Message
from tracekit.report import palette, reasons, view
from tracekit.report.i18n import DASH, Locale
from tracekit.report.phase_view import plain_name, side_by_side
from tracekit.report.plots import bars
from tracekit.report.plots.bars import NAME_WIDTH, Bar
from tracekit.report.plots.common import subject, time_label, type_colours, type_key
from tracekit.report.plots.frame import Key, Picture, says_why
from tracekit.report.plots.style import drawable, fitted, path_fitted, width_of

MOST_BARS = 60
TYPE_BARS = 12
OUTSIDE = "#c3c7cb"


def layer_time(report: Report, locale: Locale, top: int = 20, phase: str | None = None) -> Picture:
    """Self time per pass of the `top` slowest modules, coloured by type. Without `phase`: the main one."""
    timed = view.slowest_modules(report, min(top, MOST_BARS), phase)
    if not timed:
        return says_why(locale._("Time by module"), locale.message(reasons.why_no_module_times(report)))
    colours = type_colours(report)
    types = [module.type or DASH for module, _us in timed]
    rows = [
        Bar(
            name=path_fitted(module.path, NAME_WIDTH) or f"({locale._('the whole model')})",
            parts=[(us / 1e3, colours.get(kind, palette.GREY))],
            number=locale.milliseconds(us),
        )
        for (module, us), kind in zip(timed, types, strict=True)
    ]
    return _picture(
        *(report, locale, locale._("Slowest modules"), rows),
        notes=[view.self_time_basis(report, locale, phase), subject(report)],
        keys=[type_key(locale, colours, types)],
    )


def type_time(report: Report, locale: Locale, top: int = TYPE_BARS) -> Picture:
    """Self time over the whole trace of the `top` module types; what is in no module has bars of its own."""
    timed = [(row, us) for row, us in view.types_by_time(report) if us > 0]
    title = locale._("Time by module type")
    if not timed:
        return says_why(title, locale.message(reasons.why_no_modules()))
    colours = type_colours(report)
    modules = [(row, us) for row, us in timed if row.kind == "modules"]
    shown, rest = modules[: min(top, MOST_BARS)], modules[min(top, MOST_BARS) :]
    entries = [
        (_counted(row.type, row.modules, locale), us, colours.get(row.type, palette.GREY), False)
        for row, us in shown
    ]
    if rest:
        label = locale.ngettext("other ({n} type)", "other ({n} types)", len(rest))
        entries.append((label, sum(us for _row, us in rest), palette.GREY, True))
    entries += [
        (_outside(locale, view.type_label(row)), us, OUTSIDE, False)
        for row, us in timed
        if row.kind != "modules"
    ]
    shares = view.percentages([us for _name, us, _colour, _is_sum in entries])
    rows = [
        Bar(
            name=name,
            parts=[(us / 1e3, colour)],
            number=locale.milliseconds(us),
            remark=locale.rounded_percentage(share, us == 0),
            stands_for_others=is_sum,
        )
        for (name, us, colour, is_sum), share in zip(entries, shares, strict=True)
    ]
    return _picture(
        *(report, locale, title, rows),
        notes=[
            f"{_type_basis(report, locale)}; {locale._('×: modules of the type; %: of all together')}",
            subject(report),
        ],
        keys=[],
    )


def _type_basis(report: Report, locale: Locale) -> str:
    measured = (
        locale._("GPU self time") if view.has_gpu(report) else locale._("CPU self time (no GPU in the trace)")
    )
    passes = report.time.passes
    over = locale.ngettext("{n} pass", "{n} passes", passes) if passes else locale._("no pass was found")
    phases = [plain_name(phase) for phase in side_by_side(report) if phase is not None]
    of_phases = f" ({', '.join(phases)})" if phases else ""
    return f"{measured}, {locale._('over the whole trace')}, {over}{of_phases}"


def _counted(name: str, modules: int, locale: Locale) -> str:
    count = f" × {locale.count(modules)}"
    return fitted(name, NAME_WIDTH - width_of(count)) + count


def _outside(locale: Locale, label: str | Message) -> str:
    return drawable(locale.message(label)) if isinstance(label, Message) else fitted(label, NAME_WIDTH)


def _picture(
    report: Report, locale: Locale, title: str, rows: Sequence[Bar], notes: Sequence[str], keys: Sequence[Key]
) -> Picture:
    def draw(panels: Sequence[Axes]) -> None:
        bars.draw(panels[0], rows, time_label(report, locale), locale)

    return Picture(
        title=title,
        notes=notes,
        draw=draw,
        height=bars.height_of(rows),
        left=bars.room_for_names(rows),
        below=bars.BELOW,
        keys=keys,
    )
