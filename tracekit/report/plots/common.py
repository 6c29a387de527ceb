"""What several pictures say in the same words and colours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from matplotlib.patches import Patch

from tracekit.analysis.schema import Report
from tracekit.report import palette, view
from tracekit.report.i18n import Locale
from tracekit.report.plots.frame import Key
from tracekit.report.plots.style import fitted

LEGEND_NAME = 2.4  # inches of the longest name in a legend
SUBJECT_NAME = 4.2


def subject(report: Report) -> str:
    """The model, else the trace file, and the device that it ran on."""
    names = [view.title(report), report.device.name or ""]
    return " · ".join(fitted(name, SUBJECT_NAME) for name in names if name)


def time_label(report: Report, locale: Locale) -> str:
    return locale._("GPU time (ms)") if view.has_gpu(report) else locale._("CPU time (ms)")


def type_colours(report: Report) -> dict[str, str]:
    """The colour of each module type, the same in all pictures: the types with most time have one."""
    return palette.colours_of([row.type for row, _us in view.types_by_time(report) if row.kind == "modules"])


def type_key(locale: Locale, colours: dict[str, str], types: Sequence[str]) -> Key:
    """What the colours of `types` stand for; all without a colour of their own together."""
    coloured = [name for name in dict.fromkeys(types) if colours.get(name, palette.GREY) != palette.GREY]
    handles = [(Patch(facecolor=colours[name]), fitted(name, LEGEND_NAME)) for name in coloured]
    if len(coloured) < len(set(types)):
        handles.append((Patch(facecolor=palette.GREY), locale._("other types")))
    return Key(handles)


def limit_key(
    locale: Locale, limits: Iterable[str | None], handle: Callable[[str], Any] | None = None
) -> Key:
    """What colours of limits stand for; `handle` makes what is shown of a colour, else it is a patch."""
    handle = handle or (lambda colour: Patch(facecolor=colour))
    found = set(limits)
    handles = [
        (handle(colour), locale.message(view.LIMITS[name]))
        for name, colour in palette.LIMITS.items()
        if name in found
    ]
    if None in found:
        handles.append((handle(palette.GREY), locale._("not known")))
    return Key(handles, f"{locale._('Limited by')}:")
