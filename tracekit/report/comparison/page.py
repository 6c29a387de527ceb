"""`comparison.html`: one page that needs no network, made of the parts and in the style of `report.html`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tracekit.analysis.compare.schema import Comparison, PhaseChange
from tracekit.report.comparison.facts import totals_of
from tracekit.report.comparison.figures import relative_change, signed_duration, signed_milliseconds
from tracekit.report.comparison.payload import left_out, payload, phase_id
from tracekit.report.comparison.sections import Sections
from tracekit.report.comparison.waterfall import Waterfall, waterfalls
from tracekit.report.comparison.words import Words, phase_name, side_names
from tracekit.report.escape import clean, elide
from tracekit.report.html_templates import html_template
from tracekit.report.i18n import DASH, LANGUAGES, Locale
from tracekit.report.page import PALETTE_STYLE, TITLE, source
from tracekit.report.page.payload import encode
from tracekit.report.page.texts import FACT, SENTENCE, html_of

STYLES = ("vendor/tabulator.min.css", "page.css", "tables.css", "comparison.css")
# In this order: a script uses only what stands in those before it, and the last starts them.
SCRIPTS = (
    *("language.js", "format.js", "state.js", "rows.js", "names.js", "charts.js", "cells.js", "grid.js"),
    *("tools.js", "operands.js", "search_table.js", "around.js", "comparison.js"),
)


@dataclass(frozen=True)
class Tile:
    """A quantity of a pass."""

    label: str
    relative: str
    before: str
    after: str
    verdict: str
    look: str  # a class of the style sheet


@dataclass(frozen=True)
class BarText:
    """A bar of the waterfall; places are per cent of the axis."""

    name: str
    look: str
    left: str
    width: str
    number: str
    remark: str = ""
    from_above: str | None = None
    to_below: str | None = None
    is_cut: bool = False  # does not begin where it is drawn


@dataclass(frozen=True)
class PhaseText:
    id: str
    name: str
    tiles: Sequence[Tile]
    passes: str
    bars: Sequence[BarText]
    is_cut: bool


@dataclass(frozen=True)
class Detail:
    id: str
    title: str
    body: Markup
    is_open: bool


@dataclass(frozen=True)
class PageTexts:
    subtitle: str
    summary: Sequence[str]
    notes: Sequence[str]
    phases: Sequence[PhaseText]
    details: Sequence[Detail]
    left_out: Mapping[str, str]  # by the id of a view


def render_page(comparison: Comparison, lang: str, top: int = 20) -> str:
    """The page, which opens in language `lang` and can be switched to the others.

    Its tables have all rows; `top` are in those that are read without scripts.
    """
    locales = {name: Locale(name) for name in LANGUAGES}
    words = {name: Words(comparison, locale) for name, locale in locales.items()}
    texts = {name: _texts(own, top) for name, own in words.items()}
    return html_template("comparison.html.j2").render(
        _=str,  # marks texts for extraction; the template translates them into every language
        lang=lang,
        locales=locales,
        texts=texts,
        title=elide(" → ".join(side_names(comparison)), TITLE),
        has_waterfall=any(phase.bars for phase in texts[lang].phases),
        styles=[Markup(PALETTE_STYLE), *(Markup(source(name)) for name in STYLES)],
        vendor_scripts=[Markup(source("vendor/tabulator.min.js"))],
        scripts=[Markup(source(name)) for name in SCRIPTS],
        payload=Markup(encode(payload(comparison, words, lang))),
    )


def _texts(words: Words, top: int) -> PageTexts:
    comparison = words.comparison
    found = {id(phase): one for phase, one in waterfalls(words)}
    return PageTexts(
        subtitle=_subtitle(words),
        summary=[elide(words.message(message), SENTENCE) for message in comparison.summary],
        notes=[elide(words.message(message), SENTENCE) for message in comparison.notes],
        phases=[_phase(words, phase, found.get(id(phase))) for phase in comparison.phases],
        details=list(_details(Sections(comparison, words.locale, top))),
        left_out=_left_out(words),
    )


def _subtitle(words: Words) -> str:
    """The model and the device of both, once where they are the same."""
    sides = (words.comparison.before, words.comparison.after)
    facts = [[side.model for side in sides], [side.device for side in sides]]
    shown = [
        " → ".join(elide(clean(name), FACT) if name else DASH for name in dict.fromkeys(own))
        for own in facts
        if any(own)
    ]
    return " · ".join(shown)


def _phase(words: Words, phase: PhaseChange, one: Waterfall | None) -> PhaseText:
    locale = words.locale
    passes = locale._("mean over passes: {before} before, {after} after").format(
        before=locale.count(phase.passes_before), after=locale.count(phase.passes_after)
    )
    return PhaseText(
        id=phase_id(phase),
        name=phase_name(phase),
        tiles=[
            Tile(
                label=label,
                relative=relative_change(locale, change.relative),
                before=locale.duration(change.before_us),
                after=locale.duration(change.after_us),
                verdict=words.verdict(change, verdicts),
                look=change.verdict if change.verdict in verdicts else "unknown",
            )
            for label, change, verdicts in totals_of(words, phase)
        ],
        passes=f"{passes}.",
        bars=list(_bars(locale, one)) if one is not None else [],
        is_cut=one is not None and one.least_us > 0,
    )


def _bars(locale: Locale, one: Waterfall) -> Iterator[BarText]:
    """Before, each step, after."""
    whole = (one.most_us - one.least_us) or 1.0

    def at(us: float) -> str:
        return f"{100 * (us - one.least_us) / whole:.3f}"

    def in_ms(number: str) -> str:
        return f"{number} {locale._('ms')}"

    def total(name: str, us: float, **more: str) -> BarText:
        length = f"{100 * (us - one.least_us) / whole:.3f}"
        return BarText(
            name, "total", "0", length, in_ms(locale.milliseconds(us)), is_cut=one.least_us > 0, **more
        )

    yield total(locale._("before"), one.before_us, to_below=at(one.before_us))
    for step in one.steps:
        least, most = sorted((step.start_us, step.end_us))
        yield BarText(
            name=step.name,
            look=step.look,
            left=at(least),
            width=f"{100 * (most - least) / whole:.3f}",
            number=in_ms(signed_milliseconds(locale, step.difference_us)),
            remark=relative_change(locale, step.difference_us / one.before_us) if one.before_us else "",
            from_above=at(step.start_us),
            to_below=at(step.end_us),
        )
    relative = (one.after_us - one.before_us) / one.before_us if one.before_us else None
    remark = relative_change(locale, relative)
    yield total(locale._("after"), one.after_us, from_above=at(one.after_us), remark=remark)


def _details(sections: Sections) -> Iterator[Detail]:
    """What is no sorted table, as the Markdown has it."""
    _ = sections.locale._
    for name, title, text, is_open in (
        ("differences", _("What differs between the two captures"), sections.differences(), True),
        ("appeared", _("Appeared and vanished"), sections.only_on_one_side(), False),
        ("changed-kernels", _("Modules with other kernels"), sections.changed_kernels(), False),
        ("left-out", _("Left out"), sections.left_out(), False),
        ("method", _("How noise was judged"), sections.method(), False),
    ):
        yield Detail(name, title, html_of(text), is_open)


def _left_out(words: Words) -> dict[str, str]:
    locale, texts = words.locale, {}
    for name, one in left_out(words.comparison).items():
        if one.rest is not None:
            rows = locale.ngettext(
                "{n} more is in comparison.json:", "{n} more are in comparison.json:", one.rest.rows
            )
            texts[name] = f"{rows} {signed_duration(locale, one.rest.difference_us)}"
    return texts
