"""The pictures of a job, as PNG and SVG files: the step by rank, ranks over time, bus bandwidth over size."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import matplotlib as mpl

from tracekit.analysis.ranks.schema import Job
from tracekit.report.i18n import Locale
from tracekit.report.job.bandwidth_picture import bandwidth
from tracekit.report.job.figures import curves_of, has_several_sizes
from tracekit.report.job.heat_picture import heat_map
from tracekit.report.job.step_picture import rank_time
from tracekit.report.plots.frame import Picture, rendered
from tracekit.report.plots.style import STYLE

# Names of files, which users know.
PICTURES: dict[str, Callable[[Job, Locale], Picture]] = {
    "rank_time": rank_time,
    "rank_heat_map": heat_map,
    "bus_bandwidth": bandwidth,
}


def pictures_of(job: Job) -> list[str]:
    """Those in which there is something to be seen; the first says why where there is not."""
    names = ["rank_time"]
    if job.heat_map is not None:
        names.append("rank_heat_map")
    if has_several_sizes(curves_of(job)):
        names.append("bus_bandwidth")
    return names


def render_pictures(job: Job, locale: Locale, kinds: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """File name and contents of each picture in each of `kinds`, "png" and "svg"."""
    for name in pictures_of(job):
        with mpl.rc_context(STYLE):
            files = rendered(PICTURES[name](job, locale), kinds)
        for kind, contents in files.items():
            yield f"{name}.{kind}", contents
