"""Picture of how the time before becomes the time after: a bar for each place that explains it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from tracekit.analysis.compare.schema import Comparison
from tracekit.report import palette
from tracekit.report.comparison.figures import relative_change, signed_milliseconds
from tracekit.report.comparison.waterfall import LESS, MORE, NOISE, Step, Waterfall, waterfalls
from tracekit.report.comparison.words import Words, phase_name, side_names
from tracekit.report.i18n import Locale
from tracekit.report.plots.bars import BELOW, NAME_WIDTH
from tracekit.report.plots.frame import Key, Picture, rendered, says_why
from tracekit.report.plots.style import (
    INK,
    MUTED,
    SIZE,
    STYLE,
    dress,
    fitted,
    name_ticks,
    number_ticks,
    path_fitted,
    width_of,
)

COLOURS = {MORE: palette.VERMILION, LESS: palette.GREEN, NOISE: "#b9bfc5"}
TOTAL = palette.BLUE
SIDE_NAME = 3.6  # inches
_ROW, _BAR = 0.28, 0.7
_NUMBER_SIZE = 8.5
_NUMBER_GAP = 4.0  # points between a bar and its number


def render_picture(comparison: Comparison, locale: Locale, kinds: Collection[str]) -> dict[str, bytes]:
    """The picture as files, by kind: "png", "svg"."""
    with mpl.rc_context(STYLE):
        return rendered(picture(comparison, locale), kinds)


def picture(comparison: Comparison, locale: Locale) -> Picture:
    """A panel for each phase."""
    words, _ = Words(comparison, locale), locale._
    title = _("From the time before to the time after, by place in the model")
    found = waterfalls(words)
    if not found:
        return says_why(title, _("there is nothing to compare"))
    names = [[_name(step) for step in one.steps] for _phase, one in found]
    ends = [_("before"), _("after")]
    rows = max(map(len, names)) + len(ends)

    def draw(panels: Sequence[Axes]) -> None:
        for axes, (_phase, one), own in zip(panels, found, names, strict=True):
            _draw(axes, one, [ends[0], *own, ends[1]], rows, words)

    notes = [
        _("{quantity} of a pass, mean over passes; of places the time without modules inside").format(
            quantity=words.quantity
        ),
        _subject(comparison),
    ]
    if any(one.least_us for _phase, one in found):
        notes.append(_("the axis does not begin at 0"))
    return Picture(
        title=title,
        notes=notes,
        draw=draw,
        height=_ROW * rows + 0.1,
        left=max(width_of(name) for own in [*names, ends] for name in own) + 0.25,
        below=BELOW,
        captions=[fitted(phase_name(phase), NAME_WIDTH) for phase, _one in found] if len(found) > 1 else [""],
        keys=[_key(locale, [step.look for _phase, one in found for step in one.steps])],
    )


def _name(step: Step) -> str:
    if step.stands_for_others:
        return step.name
    return path_fitted(step.name, NAME_WIDTH)


def _subject(comparison: Comparison) -> str:
    """Both files, and the devices that they are of."""
    names = [fitted(name, SIDE_NAME) for name in side_names(comparison)]
    devices = dict.fromkeys(side.device for side in (comparison.before, comparison.after) if side.device)
    shown = " → ".join(fitted(device, SIDE_NAME / 2) for device in devices)
    return f"{' → '.join(names)} · {shown}" if shown else " → ".join(names)


def _key(locale: Locale, looks: Collection[str]) -> Key:
    words = {MORE: locale._("more time"), LESS: locale._("less time"), NOISE: locale._("within noise")}
    return Key([(Patch(facecolor=COLOURS[look]), text) for look, text in words.items() if look in looks])


def _draw(axes: Axes, one: Waterfall, names: Sequence[str], rows: int, words: Words) -> None:
    """Bars from above; each begins where the one above it ends."""
    dress(axes, "x")
    places = [float(place) for place in range(len(names))]
    spans = [
        (one.least_us, one.before_us),
        *((step.start_us, step.end_us) for step in one.steps),
        (one.least_us, one.after_us),
    ]
    colours = [TOTAL, *(COLOURS[step.look] for step in one.steps), TOTAL]
    for place, (start, end), colour in zip(places, spans, colours, strict=True):
        axes.barh(place, (end - start) / 1e3, left=start / 1e3, height=_BAR, color=colour, linewidth=0)
    ends = [one.before_us, *(step.end_us for step in one.steps)]
    for place, end in zip(places, ends, strict=False):
        # From the end of a bar to the one that goes on from there.
        axes.plot([end / 1e3] * 2, [place + _BAR / 2, place + 1 - _BAR / 2], color=MUTED, linewidth=0.8)
    if one.least_us:
        for place in (places[0], places[-1]):
            _cut(axes, place, one)
    name_ticks(axes.yaxis, places, list(names))
    axes.set_ylim(rows - 0.5 + 0.05 / _ROW, -0.5 - 0.05 / _ROW)
    axes.set_xlabel(words.quantity_in_ms(), fontsize=SIZE, color=INK)
    number_ticks(axes.xaxis, words.locale)
    _write_numbers(axes, one, spans, words.locale)


def _cut(axes: Axes, place: float, one: Waterfall) -> None:
    """A stroke across a bar that does not begin where it is drawn."""
    where = (one.least_us + 0.04 * (one.most_us - one.least_us)) / 1e3
    tilt = ScaledTranslation(-6 / 72, 0, axes.figure.dpi_scale_trans)
    (stroke,) = axes.plot(
        [where, where + 0.012 * (one.most_us - one.least_us) / 1e3],
        [place + _BAR / 2 + 0.04, place - _BAR / 2 - 0.04],
        color="white",
        linewidth=3,
        solid_capstyle="butt",
    )
    stroke.set_transform(axes.transData + tilt)


def _write_numbers(axes: Axes, one: Waterfall, spans: Sequence[tuple[float, float]], locale: Locale) -> None:
    """Writes each number at the right of its bar, and shows so much of the axis that they are within it."""
    width = axes.get_window_extent().width / axes.figure.dpi
    relative = (one.after_us - one.before_us) / one.before_us if one.before_us else None
    texts = [
        (locale.milliseconds(one.before_us), ""),
        *((signed_milliseconds(locale, step.difference_us), "") for step in one.steps),
        (locale.milliseconds(one.after_us), relative_change(locale, relative)),
    ]
    least = one.least_us
    limit = max(
        (max(span) - least) * width / max(width - width_of("  ".join(text), _NUMBER_SIZE) - 0.12, width / 4)
        for span, text in zip(spans, texts, strict=True)
    )
    axes.set_xlim(least / 1e3, (least + max(limit, (one.most_us - least) * 1.02, 1e-3)) / 1e3)
    for place, (span, (number, remark)) in enumerate(zip(spans, texts, strict=True)):
        shift = _NUMBER_GAP
        for text, colour in ((number, INK), (remark, MUTED)):
            if text:
                axes.annotate(
                    text,
                    (max(span) / 1e3, place),
                    xytext=(shift, -0.5),
                    textcoords="offset points",
                    va="center_baseline",
                    fontsize=_NUMBER_SIZE,
                    color=colour,
                    parse_math=False,
                )
            shift += width_of(f"{text}  ", _NUMBER_SIZE) * 72
