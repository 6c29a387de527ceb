"""`report.html`: one page that needs no network, with its data, scripts and styles inside.

`payload` is what the scripts draw, `texts` what is read without them, in every language; `page.html.j2` holds
the order of the page. The charts are drawn by Apache ECharts, the tables by Tabulator (`vendor/`); the
scripts beside this file put the report into them: they select and lay out, and compute no number shown.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from markupsafe import Markup

from tracekit.analysis.schema import Report
from tracekit.report import palette, view
from tracekit.report.escape import clean, elide
from tracekit.report.html_templates import html_template
from tracekit.report.i18n import LANGUAGES, Locale
from tracekit.report.page.payload import encode, payload
from tracekit.report.page.texts import PageTexts, texts_of

TITLE = 500  # characters
FOLDER = Path(__file__).parent
VENDOR_SCRIPTS = ("echarts.min.js", "tabulator.min.js")
# The colours of the pictures, for what the style sheets draw.
PALETTE_STYLE = (
    f":root {{ --forward: {palette.BLUE}; --backward: {palette.ORANGE}; --outside: {palette.GREY}; }}"
)
STYLES = ("vendor/tabulator.min.css", "page.css", "tables.css", "inspector.css", "charts.css")
# In this order: a script uses only what stands in those before it, and `main.js` starts them.
SCRIPTS = (
    *("language.js", "format.js", "state.js", "rows.js", "data.js", "names.js", "charts.js", "drawing.js"),
    *("cells.js", "module_hint.js", "grid.js", "tools.js", "inspector.js", "tree_rows.js", "tree.js"),
    *("operands.js", "search_table.js", "tables.js", "rectangles.js", "flame.js", "blocks.js", "roofline.js"),
    *("passes.js", "timeline_lanes.js", "timeline_text.js", "timeline.js", "around.js", "main.js"),
)


def render_page(report: Report, lang: str, top: int = 20) -> str:
    """The page, which opens in language `lang` and can be switched to the others.

    `top`: how many places are listed where something would be won. Names from the trace are data or escaped
    text, never markup.
    """
    locales = {name: Locale(name) for name in LANGUAGES}
    texts: dict[str, PageTexts] = {name: texts_of(report, locale, top) for name, locale in locales.items()}
    return html_template("page.html.j2").render(
        _=str,  # marks texts for extraction; the template translates them into every language
        lang=lang,
        per_pass=view.is_per_pass(report),
        locales=locales,
        texts=texts,
        title=elide(clean(view.title(report)), TITLE),
        styles=[Markup(PALETTE_STYLE), *(Markup(source(name)) for name in STYLES)],
        vendor_scripts=[Markup(source(f"vendor/{name}")) for name in VENDOR_SCRIPTS],
        scripts=[Markup(source(name)) for name in SCRIPTS],
        payload=Markup(encode(payload(report, locales, lang))),
    )


@cache
def source(name: str) -> str:
    """A file of the page; a map of the sources behind a script would be looked for in vain."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if not line.startswith("//# sourceMappingURL="))
