"""Picture of what would be won where: for each place the least time that it could take, and what is above."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from tracekit.analysis.schema import HeadroomRow, Report
from tracekit.report import palette, reasons, roofline_sections, view
from tracekit.report.i18n import Locale
from tracekit.report.plots import bars
from tracekit.report.plots.bars import NAME_WIDTH, Bar
from tracekit.report.plots.common import limit_key, subject
from tracekit.report.plots.frame import Key, Picture, says_why
from tracekit.report.plots.style import path_fitted

MOST_BARS = 40
LEAST_SHARE = 0.005  # of the longest bar: shorter ones are folded, they would not be seen
BOUND = "#d5dade"


def headroom(report: Report, locale: Locale, top: int = 20) -> Picture:
    """The `top` places where most would be won, and all others in one bar."""
    title = locale._("What would be won, by place in the model")
    if why := reasons.why_no_bounds(report):
        return says_why(title, locale.message(why))
    if not any(row.headroom_us for row in report.headroom):
        return says_why(title, locale._("nothing on the GPU has a known bound"))
    most = max((row.bound_us or 0.0) + row.headroom_us for row in report.headroom)
    shown = [row for row in report.headroom[: min(top, MOST_BARS)] if row.headroom_us > LEAST_SHARE * most]
    rest = report.headroom[len(shown) :]
    rows = [_bar(locale, _name(locale, row), [row], _colour(row.limited_by)) for row in shown]
    if rest:
        others = locale.ngettext("other ({n} place)", "other ({n} places)", len(rest))
        rows.append(_bar(locale, others, rest, palette.GREY))

    per_pass = view.is_per_pass(report)
    basis = locale._("time above the bound, without that of modules inside, {basis}").format(
        basis=view.per_pass_text(report, locale)
    )
    if per_pass:
        basis += f"; {locale._('%: of the pass')}"
    label = locale._("Time of a pass (ms)") if per_pass else locale._("GPU time (ms)")

    def draw(panels: Sequence[Axes]) -> None:
        bars.draw(panels[0], rows, label, locale)

    return Picture(
        title=title,
        notes=[view.sentence(basis), subject(report)],
        draw=draw,
        height=bars.height_of(rows),
        left=bars.room_for_names(rows),
        below=bars.BELOW,
        keys=[
            Key([(Patch(facecolor=BOUND), locale._("bound: the least time on this device"))]),
            limit_key(locale, [row.limited_by for row in shown]),
        ],
    )


def _bar(locale: Locale, name: str, places: Sequence[HeadroomRow], colour: str) -> Bar:
    bound_us = sum(row.bound_us or 0.0 for row in places)
    headroom_us = sum(row.headroom_us for row in places)
    share = places[0].share if len(places) == 1 else None
    return Bar(
        name=name,
        parts=[(bound_us / 1e3, BOUND), (headroom_us / 1e3, colour)],
        number=locale.milliseconds(headroom_us),
        remark="" if share is None else locale.percent(share),
        stands_for_others=len(places) > 1,
    )


def _name(locale: Locale, row: HeadroomRow) -> str:
    if row.kind != "modules":
        return f"({locale.message((roofline_sections.WAITS | view.KIND_LABELS)[row.kind])})"
    return path_fitted(row.place, NAME_WIDTH) or f"({locale._('the whole model')})"


def _colour(limit: str | None) -> str:
    return palette.LIMITS.get(limit or "", palette.GREY)
