"""`comparison.md`: the sections of a comparison, in the order of the template."""

from __future__ import annotations

from tracekit.analysis.compare.schema import Comparison
from tracekit.report.comparison.sections import Sections
from tracekit.report.i18n import Locale
from tracekit.report.markdown import markdown_template

TOP = 20


def render_markdown(
    comparison: Comparison, locale: Locale, top: int = TOP, *, pictures: str | None = "png"
) -> str:
    """The comparison with `top` rows of each table; `pictures`: the kind of the picture beside it, if any."""
    sections = Sections(comparison, locale, top)
    text = markdown_template("comparison.md.j2").render(
        _=locale._,
        sections=sections,
        headline=sections.headline(),
        notes=sections.notes(),
        pictures=pictures,
        top=top,
    )
    return text.strip("\n") + "\n"
