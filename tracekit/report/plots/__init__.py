"""The pictures of the report, as PNG and SVG files and on axes of a notebook.

Each is understood without the text around it: the title says what is measured, in which unit and over how
many passes, and of which model on which device. Without data a picture says why.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import matplotlib as mpl

from tracekit.analysis.schema import Report
from tracekit.report.i18n import Locale
from tracekit.report.plots.blocks import block_time
from tracekit.report.plots.frame import Picture, rendered
from tracekit.report.plots.headroom import headroom
from tracekit.report.plots.modules import layer_time, type_time
from tracekit.report.plots.roofline import roofline
from tracekit.report.plots.style import STYLE

KINDS = ("png", "svg")
# Names of files, which users know.
PICTURES: dict[str, Callable[[Report, Locale, int], Picture]] = {
    "layer_time": layer_time,
    "type_time": lambda report, locale, _top: type_time(report, locale),
    "block_time": lambda report, locale, _top: block_time(report, locale),
    "roofline": lambda report, locale, _top: roofline(report, locale),
    "headroom": headroom,
}


def render_pictures(
    report: Report, locale: Locale, kinds: Collection[str], top: int = 20
) -> dict[str, bytes]:
    """File name to contents of every picture in each of `kinds`; `top`: how many modules, or places."""
    files = {}
    with mpl.rc_context(STYLE):
        for name, picture in PICTURES.items():
            for kind, contents in rendered(picture(report, locale, top), kinds).items():
                files[f"{name}.{kind}"] = contents
    return files
