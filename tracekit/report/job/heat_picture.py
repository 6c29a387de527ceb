"""Picture of ranks over time: how much of each moment is exposed communication, and how much nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Patch

from tracekit.analysis.ranks.schema import Job
from tracekit.report.i18n import Locale
from tracekit.report.job.figures import heat_rows
from tracekit.report.job.step_picture import rank_ticks
from tracekit.report.job.words import PARTS
from tracekit.report.plots.frame import Key, Picture, says_why
from tracekit.report.plots.style import INK, SIZE, dress, number_ticks

SHOWN = ("compute", "communication", "idle")
RAMPS = {
    "compute": ("#f4f7fa", "#0173b2"),
    "communication": ("#fdf6ea", "#b36b00"),
    "idle": ("#f6f7f8", "#26323d"),
}
UNKNOWN = "#e9dff0"
MOST_ROWS = 256
_ROW, _LEAST, _MOST = 0.2, 0.5, 2.0  # inches
_LEGEND = (0, 25, 50, 75, 100)


def heat_map(job: Job, locale: Locale) -> Picture:
    """A panel for compute, exposed communication and idle time each."""
    _, heat = locale._, job.heat_map
    title = _("Ranks over time")
    if heat is None:
        return says_why(title, _("no rank could be read"))
    found = {part: heat_rows(heat, part, MOST_ROWS) for part in SHOWN}
    per_row = found["idle"][1]
    notes = [_("percent of each bin of {time}").format(time=locale.duration(heat.bin_us))]
    if per_row > 1:
        notes.append(
            _("each row is the maximum of {n} ranks that follow each other").format(n=locale.count(per_row))
        )
    span, unit = _scaled(heat.bin_us * heat.bins, locale)

    def draw(panels: Sequence[Axes]) -> None:
        for axes, part in zip(panels, SHOWN, strict=True):
            dress(axes, "x")
            axes.grid(visible=False)
            colours = LinearSegmentedColormap.from_list(part, RAMPS[part]).with_extremes(bad=UNKNOWN)
            rows = np.ma.masked_invalid(np.array(found[part][0]))
            ends = (0.0, span, len(heat.ranks) - 0.5, -0.5)
            axes.imshow(
                rows, cmap=colours, vmin=0, vmax=100, aspect="auto", interpolation="nearest", extent=ends
            )
            rank_ticks(axes, heat.ranks, locale, offset=0, axis="y")
            number_ticks(axes.xaxis, locale)
        panels[-1].set_xlabel(f"{_('Time')} ({unit})", fontsize=SIZE, color=INK)

    return Picture(
        title=title,
        notes=["; ".join(notes)],
        draw=draw,
        height=max(_LEAST, min(_MOST, _ROW * len(heat.ranks))),
        left=0.75,
        below=0.45,
        captions=[locale.message(PARTS[part]) for part in SHOWN],
        keys=[_key(part, locale, with_unknown=part == SHOWN[-1] and _has_unknown(found)) for part in SHOWN],
    )


def _scaled(us: float, locale: Locale) -> tuple[float, str]:
    return (us / 1e6, locale._("s")) if us >= 10e6 else (us / 1e3, locale._("ms"))


def _has_unknown(found: dict[str, tuple[list[list[float]], int]]) -> bool:
    return any(math.isnan(value) for row in found["idle"][0] for value in row)


def _key(part: str, locale: Locale, with_unknown: bool) -> Key:
    colours = LinearSegmentedColormap.from_list(part, RAMPS[part])
    handles = [(Patch(facecolor=colours(at / 100)), locale.percent(at / 100, 0)) for at in _LEGEND]
    if with_unknown:
        handles.append((Patch(facecolor=UNKNOWN), locale._("not recorded")))
    return Key(handles, f"{locale.message(PARTS[part])}:")
