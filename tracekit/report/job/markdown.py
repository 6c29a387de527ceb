"""`job.md`: the sections of a job, in the order of the template."""

from __future__ import annotations

from tracekit.analysis.ranks.schema import Job
from tracekit.report.i18n import Locale
from tracekit.report.job.figures import curves_of, has_several_sizes
from tracekit.report.job.sections import Sections
from tracekit.report.markdown import markdown_template

TOP = 20


def render_markdown(job: Job, locale: Locale, top: int = TOP, *, pictures: str | None = "png") -> str:
    """The job with `top` rows of each table; `pictures`: the kind of the pictures beside it, if any."""
    sections = Sections(job, locale, top)
    text = markdown_template("job.md.j2").render(
        _=locale._,
        sections=sections,
        subject=sections.subject(),
        lost=sections.lost(),
        late_places=sections.late_places(),
        notes=sections.notes(),
        has_heat_map=job.heat_map is not None,
        has_bandwidths=has_several_sizes(curves_of(job)),
        pictures=pictures,
        top=top,
    )
    return text.strip("\n") + "\n"
