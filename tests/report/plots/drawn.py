"""What a picture shows, read back from its figure."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from tracekit.analysis.schema import Report
from tracekit.report.i18n import Locale
from tracekit.report.plots import PICTURES
from tracekit.report.plots.frame import Picture, framed
from tracekit.report.plots.style import STYLE


def figure_of(picture: Picture) -> Figure:
    """The figure as the files of a report have it."""
    with mpl.rc_context(STYLE):
        return framed(picture)


def named(name: str, report: Report, lang: str = "en", top: int = 20) -> Figure:
    """A figure by the name of its file."""
    return figure_of(PICTURES[name](report, Locale(lang), top))


def shown(figure: Figure) -> list[Text]:
    """The texts that are drawn: ticks beyond the limits of their axis exist, but are not."""
    hidden: set[Text] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            ticks = axis._update_ticks() if axes.axison else []  # type: ignore[attr-defined]
            labels = {label for tick in ticks for label in (tick.label1, tick.label2)}
            hidden |= {*axis.findobj(Text)} - labels - ({axis.label} if axes.axison else set())  # type: ignore[arg-type]
    every: list[Text] = figure.findobj(Text)  # type: ignore[assignment]
    return [text for text in every if text.get_visible() and text.get_text() and text not in hidden]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in shown(figure)]


def names(axes: Axes) -> list[str]:
    """The names on the left of horizontal bars."""
    return [label.get_text() for label in axes.get_yticklabels()]


def bars(axes: Axes) -> list[tuple[float, str]]:
    """Length and colour of horizontal bars."""
    return [(round(bar.get_width(), 6), to_hex(bar.get_facecolor())) for bar in axes.patches]  # type: ignore[attr-defined]


def stacks(axes: Axes) -> dict[str, list[tuple[float, float, float]]]:
    """Middle, lower and upper end of the bars of each colour, as far as they stand on the axes' own scale."""
    found = {}
    for collection in axes.collections:
        if isinstance(collection, PolyCollection) and collection.get_clip_on():
            corners = [path.vertices for path in collection.get_paths()]
            found[to_hex(collection.get_facecolor()[0])] = [
                (
                    round((own[:, 0].min() + own[:, 0].max()) / 2, 6),
                    round(own[:, 1].min(), 6),
                    round(own[:, 1].max(), 6),
                )
                for own in corners
            ]
    return found
