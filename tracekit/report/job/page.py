"""`job.html`: one page that needs no network, made of the parts and in the style of `report.html`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tracekit.analysis.ranks.schema import Job
from tracekit.report import shared_facts, view
from tracekit.report.escape import elide
from tracekit.report.html_templates import html_template
from tracekit.report.i18n import LANGUAGES, Locale
from tracekit.report.job.colours import PARTS_STYLE
from tracekit.report.job.curve_chart import CurveChart, curve_chart
from tracekit.report.job.facts import notes_of, ranks_lacking, ranks_read, step_parts
from tracekit.report.job.payload import left_out, payload
from tracekit.report.job.sections import Sections
from tracekit.report.job.words import Words
from tracekit.report.page import PALETTE_STYLE, TITLE, source
from tracekit.report.page.payload import encode
from tracekit.report.page.texts import SENTENCE, FindingText, Tile, html_of

STYLES = ("vendor/tabulator.min.css", "page.css", "tables.css", "charts.css", "job.css")
# In this order: a script uses only what stands in those before it, and the last starts them.
SCRIPTS = (
    *("language.js", "format.js", "state.js", "rows.js", "names.js", "charts.js", "cells.js", "grid.js"),
    *("tools.js", "search_table.js", "around.js", "job_pictures.js", "job.js"),
)


@dataclass(frozen=True)
class Detail:
    """A table of the Markdown report."""

    id: str
    title: str
    body: Markup
    is_open: bool


@dataclass(frozen=True)
class PageTexts:
    title: str
    subtitle: str
    tiles: Sequence[Tile]
    findings: Sequence[FindingText]
    notes: Sequence[str]
    curves: CurveChart | None
    details: Sequence[Detail]
    left_out: Mapping[str, str]  # by the id of a view


def render_page(job: Job, lang: str, top: int = 20) -> str:
    """The page, which opens in language `lang` and can be switched to the others.

    Its tables have all rows up to `view.TABLE_ROWS`; `top` are in those that are read without scripts.
    """
    locales = {name: Locale(name) for name in LANGUAGES}
    texts = {name: _texts(job, locale, top) for name, locale in locales.items()}
    return html_template("job.html.j2").render(
        _=str,  # marks texts for extraction; the template translates them into every language
        lang=lang,
        locales=locales,
        texts=texts,
        title=elide(texts[lang].title, TITLE),
        has_curves=texts[lang].curves is not None,
        styles=[Markup(PALETTE_STYLE), Markup(PARTS_STYLE), *(Markup(source(name)) for name in STYLES)],
        vendor_scripts=[Markup(source("vendor/tabulator.min.js"))],
        scripts=[Markup(source(name)) for name in SCRIPTS],
        payload=Markup(encode(payload(job, locales, lang))),
    )


def _texts(job: Job, locale: Locale, top: int) -> PageTexts:
    words = Words(job, locale)
    return PageTexts(
        title=words.title(),
        subtitle=words.subject(),
        tiles=list(_tiles(job, locale)),
        findings=list(_findings(job, locale)),
        notes=[elide(locale.message(message), SENTENCE) for message in notes_of(job, top)],
        curves=curve_chart(job, locale),
        details=list(_details(Sections(job, locale, top))),
        left_out={
            name: locale.ngettext("{n} more is in job.json.", "{n} more are in job.json.", count)
            for name, count in left_out(job).items()
        },
    )


def _tiles(job: Job, locale: Locale) -> Iterator[Tile]:
    _, time = locale._, job.time
    hosts = {row.host for row in job.ranks if row.host}
    notes = [locale.ngettext("{n} host", "{n} hosts", len(hosts))] if hosts else []
    yield Tile(_("Ranks"), ranks_read(job, locale), ", ".join([*ranks_lacking(job, locale), *notes]))
    if time is None:
        return
    steps = locale.ngettext("{n} step", "{n} steps", time.steps)
    note = f"{_('median over the ranks')}; {steps}" if len(job.ranks) > 1 else steps
    yield Tile(_("Step"), locale.duration(time.wall_us), note)
    for label, us in step_parts(time, locale):
        share = us / time.wall_us if time.wall_us else None
        yield Tile(label, locale.percent(share), locale.duration(us))


def _findings(job: Job, locale: Locale) -> Iterator[FindingText]:
    wall = job.time.wall_us if job.time is not None else None
    for finding in job.findings:
        label, evidence, advice = shared_facts.finding_words(finding, locale)
        yield FindingText(
            severity=finding.severity if finding.severity in view.SEVERITIES else "note",
            label=label,
            subject="",
            module=None,
            evidence=f"{elide(view.sentence(evidence), SENTENCE)}.",
            advice=f"{elide(advice, SENTENCE)}.",
            gain=locale.duration(finding.gain_us) if finding.gain_us is not None else "",
            gain_share=min(1.0, finding.gain_us / wall) if finding.gain_us is not None and wall else None,
        )


def _details(sections: Sections) -> Iterator[Detail]:
    """What is no sorted table, as the Markdown has it."""
    _ = sections.locale._
    for name, title, text, is_open in (
        ("late", _("Who arrives late"), sections.late(), True),
        ("late-places", _("Where late ranks lose time"), sections.late_places(), True),
        ("lost", _("Traces that could not be read"), sections.lost(), True),
        ("groups", _("Process groups"), sections.groups(), False),
        ("traces", _("Traces"), sections.traces(), False),
        ("method", _("How it was worked out"), sections.method(), False),
    ):
        if text:
            yield Detail(name, title, html_of(text), is_open)
