"""What of the page is read without its scripts, in one language: headline, findings, tables of report.md.

Values are text, which the template escapes, or Markdown whose names are escaped and which is rendered here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from markdown_it import MarkdownIt
from markupsafe import Markup

from tracekit.analysis.schema import Report
from tracekit.report import (
    hta_sections,
    markdown,
    pass_sections,
    reasons,
    roofline_sections,
    sections,
    shared_facts,
    view,
)
from tracekit.report.escape import clean, elide
from tracekit.report.i18n import DASH, Locale
from tracekit.report.phase_view import PassFigures, each, pass_figures, plain_name

FACT = 200  # characters
SENTENCE = 2000  # names in it may be of any length


@dataclass(frozen=True)
class Tile:
    """A figure of the headline."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class FindingText:
    severity: str  # one of `view.SEVERITIES`, or what another version calls it
    label: str
    subject: str
    module: int | None  # its position in `view.shown_modules`, where the finding is about one
    evidence: str
    advice: str
    gain: str
    gain_share: float | None  # of a pass, to draw


@dataclass(frozen=True)
class Section:
    """A table of the Markdown report."""

    id: str
    title: str
    body: Markup


@dataclass(frozen=True)
class PageTexts:
    subtitle: str
    tiles: Sequence[Tile]
    findings: Sequence[FindingText]
    accounting: Sequence[shared_facts.Accounted]
    details: Sequence[Section]
    lacks: Markup
    left_out: Mapping[str, str]  # by the id of a view


def texts_of(report: Report, locale: Locale, top: int) -> PageTexts:
    """Texts of the page; `top` places are listed where something would be won."""
    return PageTexts(
        subtitle=_subtitle(report, locale),
        tiles=list(_tiles(report, locale)),
        findings=list(_findings(report, locale)),
        accounting=[share for share in shared_facts.accounted(report, locale) if share.events],
        details=list(_details(report, locale, top)),
        lacks=html_of(sections.lacks(report, locale)),
        left_out=_left_out(report, locale),
    )


def _left_out(report: Report, locale: Locale) -> dict[str, str]:
    """How many rows the views lack that are drawn by scripts."""
    modules = len(report.modules) - len(view.shown_modules(report))
    rest = {
        "kernels": len(report.kernels) - view.TABLE_ROWS,
        "ops": len(report.ops) - view.TABLE_ROWS,
        "blocks": len(report.blocks) - view.PAGE_BLOCKS,
        **dict.fromkeys(("tree", "flame", "roofline"), modules),
        "passes": len(report.passes) - len(view.shown_passes(report)),
    }
    texts = {
        name: locale.ngettext("{n} more is in report.json.", "{n} more are in report.json.", n)
        for name, n in rest.items()
        if n > 0
    }
    if "passes" in texts:
        texts["passes"] = f"{locale._('Here are the first, the last and the slowest.')} {texts['passes']}"
    return texts


def _subtitle(report: Report, locale: Locale) -> str:
    _, model = locale._, report.model
    device = clean(report.device.name or (_("unknown device") if view.has_gpu(report) else _("CPU")))
    facts = [device, clean(model.mode or ""), clean(model.dtype or "")]
    if model.batch_size and model.sequence_length:
        facts.append(f"{locale.count(model.batch_size)} × {locale.count(model.sequence_length)}")
    return " · ".join(elide(fact, FACT) for fact in facts if fact)


def _tiles(report: Report, locale: Locale) -> Iterator[Tile]:
    _, flops, figures = locale._, report.flops, pass_figures(report)

    def of_passes(show: Callable[[PassFigures], str]) -> str:
        return each(figures, show, plain_name)

    def over(one: PassFigures) -> str:
        return view.median_of(one.passes, locale) if one.wall_us is not None else ""

    if any(one.latency_us is not None for one in figures):
        yield Tile(
            _("Latency"), of_passes(lambda one: locale.duration(one.latency_us)), _("without the profiler")
        )
    if any(one.wall_us is not None for one in figures):
        yield Tile(
            _("Wall time of a pass"), of_passes(lambda one: locale.duration(one.wall_us)), of_passes(over)
        )
    else:
        yield Tile(_("Wall time of a pass"), DASH, locale.message(reasons.why_no_passes()))
    if view.has_gpu(report):
        yield _gpu_time(report, locale, figures)
    if any(one.headline_tflops is not None for one in figures):
        bases = {one.headline_basis: view.BASES.get(one.headline_basis or "") for one in figures}
        note = "; ".join(locale.message(basis) for basis in bases.values() if basis is not None)
        yield Tile(_("Achieved"), of_passes(lambda one: locale.flops_rate(one.headline_tflops)), note)
    else:
        yield Tile(_("Achieved"), DASH, locale.message(reasons.why_no_pass_flops(report)))
    if flops.peak_share is not None:
        note = _("matrix operators while they run: {rate}").format(
            rate=locale.flops_rate(flops.achieved_tflops)
        )
        yield Tile(_("Share of the peak"), locale.percent(flops.peak_share), note)
    if (bound := shared_facts.pass_bound(report)) is not None:
        least = _("the least that it could take: {bound}").format(bound=locale.duration(bound.us))
        note = "; ".join([least, *shared_facts.limit_note(bound, locale)])
        yield Tile(_("Bound reached"), locale.percent(bound.reached), note)
    if any(one.tokens_per_second is not None for one in figures):
        yield Tile(_("Tokens per second"), of_passes(lambda one: locale.fixed(one.tokens_per_second, 1)), "")


def _gpu_time(report: Report, locale: Locale, figures: Sequence[PassFigures]) -> Tile:
    _ = locale._
    whole = locale.duration(report.time.gpu_time_us)
    if all(one.gpu_time_us is None for one in figures):
        return Tile(_("GPU time"), whole, _("over the whole trace"))
    per_pass = each(figures, lambda one: locale.duration(one.gpu_time_us), plain_name)
    return Tile(_("GPU time of a pass"), per_pass, _("{time} over the whole trace").format(time=whole))


def _findings(report: Report, locale: Locale) -> Iterator[FindingText]:
    position = {row.path: i for i, row in enumerate(view.shown_modules(report))}
    wall = report.time.pass_wall_us
    for finding in report.findings:
        label, evidence, advice = shared_facts.finding_words(finding, locale)
        yield FindingText(
            severity=finding.severity if finding.severity in view.SEVERITIES else "note",
            label=label,
            subject=elide(clean(finding.module or ""), SENTENCE),
            module=position.get(finding.module) if finding.module is not None else None,
            evidence=f"{elide(evidence, SENTENCE)}.",
            advice=f"{elide(advice, SENTENCE)}.",
            gain=locale.duration(finding.gain_us) if finding.gain_us is not None else "",
            gain_share=min(1.0, finding.gain_us / wall) if finding.gain_us is not None and wall else None,
        )


def _details(report: Report, locale: Locale, top: int) -> Iterator[Section]:
    _ = locale._
    tables = [
        ("model", _("Model and run"), markdown.fact_list(report, locale)),
        (
            "headroom",
            _("What would be won ({n})").format(n=top),
            roofline_sections.headroom(report, locale, top),
        ),
        ("types", _("Summary of time by module type"), sections.types(report, locale)),
        ("roofline-types", _("Roofline by module type"), roofline_sections.by_type(report, locale)),
        ("kinds", _("Kinds of blocks"), sections.block_kinds(report, locale)),
        ("parts", _("Parts of the blocks"), roofline_sections.block_parts(report, locale)),
        ("phases", _("Phases"), pass_sections.phases(report, locale)),
        ("memory", _("Memory by module ({n})").format(n=top), pass_sections.memory(report, locale, top)),
        ("uncosted", _("Kernels without a known cost"), roofline_sections.uncosted(report, locale)),
        ("regions", _("Regions"), sections.regions(report, locale)),
        ("hta", "Holistic Trace Analysis", hta_sections.hta(report, locale)),
    ]
    for name, title, text in tables:
        if text:
            yield Section(name, title, html_of(text))


@cache
def _reader() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def html_of(text: str) -> Markup:
    """Finished Markdown as HTML; HTML in it is shown, not obeyed."""
    return Markup(_reader().render(text))
