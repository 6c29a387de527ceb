"""Picture of where the time of a step goes on each rank: a bar a rank, thin columns where there are many."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from tracekit.analysis.ranks.schema import Job
from tracekit.report import palette
from tracekit.report.i18n import Locale
from tracekit.report.job.colours import COLOURS
from tracekit.report.job.figures import PARTS, Rank, Split, mean_step, ranks_of
from tracekit.report.job.words import PARTS as PART_WORDS
from tracekit.report.job.words import Words
from tracekit.report.plots import bars
from tracekit.report.plots.bars import Bar
from tracekit.report.plots.frame import Key, Picture, says_why
from tracekit.report.plots.style import INK, SIZE, dress, fitted, number_ticks

MOST_BARS = 32
MOST_COLUMNS = 512
SUBJECT = 8.0  # inches
_COLUMNS_HEIGHT = 3.2
_MOST_MARKS = 8


def rank_time(job: Job, locale: Locale) -> Picture:
    """The step of each rank, or the mean of ranks that follow each other."""
    _ = locale._
    title = _("Where the time of a step goes, by rank")
    ranks = [one for one in ranks_of(job) if one.step is not None]
    if not ranks:
        return says_why(title, _("no rank could be read"))
    notes = [_("mean over the steps and devices of a rank")]
    if len(ranks) <= MOST_BARS:
        picture = _bars(ranks, locale)
    else:
        picture, per_column = _columns(ranks, locale)
        if per_column > 1:
            notes.append(
                _("each column is the mean of {n} ranks that follow each other").format(
                    n=locale.count(per_column)
                )
            )
    subject = fitted(Words(job, locale).subject(), SUBJECT)
    return Picture(
        title=title,
        notes=["; ".join(notes), *([subject] if subject else [])],
        draw=picture.draw,
        height=picture.height,
        left=picture.left,
        below=picture.below,
        keys=[part_key(locale)],
    )


def part_key(locale: Locale) -> Key:
    """What the colours stand for."""
    return Key([(Patch(facecolor=COLOURS[part]), locale.message(PART_WORDS[part])) for part in PARTS])


def _bars(ranks: Sequence[Rank], locale: Locale) -> Picture:
    rows = [_bar(one, one.step, locale) for one in ranks if one.step is not None]

    def draw(panels: Sequence[Axes]) -> None:
        bars.draw(panels[0], rows, locale._("Time of a step (ms)"), locale)

    return Picture(
        title="",
        notes=(),
        draw=draw,
        height=bars.height_of(rows),
        left=bars.room_for_names(rows),
        below=bars.BELOW,
    )


def _bar(one: Rank, step: Split, locale: Locale) -> Bar:
    _ = locale._
    remark = ""
    if one.straggler is not None:
        remark = _("last to {share} of collectives").format(share=locale.percent(one.straggler.last_share, 0))
    return Bar(
        name=_("rank {rank}").format(rank=locale.count(one.row.rank)),
        parts=[(us / 1e3, COLOURS[part]) for part, us in zip(PARTS, step.parts, strict=True)],
        number=locale.milliseconds(step.wall),
        remark=remark,
    )


def _columns(ranks: Sequence[Rank], locale: Locale) -> tuple[Picture, int]:
    """Columns side by side, and how many ranks each stands for."""
    per_column = -(-len(ranks) // MOST_COLUMNS)
    groups = [ranks[at : at + per_column] for at in range(0, len(ranks), per_column)]
    steps = [step for group in groups if (step := mean_step(group)) is not None]

    def draw(panels: Sequence[Axes]) -> None:
        (axes,) = panels
        dress(axes, "y")
        edges = [at * per_column for at in range(len(groups))] + [len(ranks)]
        lower = [0.0] * len(steps)
        for number, part in enumerate(PARTS):
            upper = [below + step.parts[number] / 1e3 for below, step in zip(lower, steps, strict=True)]
            axes.stairs(upper, edges, baseline=lower, fill=True, color=COLOURS[part], linewidth=0)
            lower = upper
        most = max(lower)
        axes.set_xlim(0, len(ranks))
        axes.set_ylim(0, most * 1.09 or 1.0)
        _mark(axes, ranks, most, locale)
        number_ticks(axes.yaxis, locale)
        axes.set_ylabel(locale._("Time of a step (ms)"), fontsize=SIZE, color=INK)
        rank_ticks(axes, [one.row.rank for one in ranks], locale, offset=0.5)

    picture = Picture(title="", notes=(), draw=draw, height=_COLUMNS_HEIGHT, left=0.75, below=0.5)
    return picture, per_column


def rank_ticks(axes: Axes, ranks: Sequence[int], locale: Locale, offset: float, axis: str = "x") -> None:
    """Numbers of ranks along an axis, whose places are those in `ranks`."""
    own = axes.xaxis if axis == "x" else axes.yaxis
    places = MaxNLocator(nbins=12 if axis == "x" else 8, integer=True, steps=[1, 2, 4, 5, 8, 10])
    shown = [int(at) for at in places.tick_values(0, len(ranks) - 1) if 0 <= at < len(ranks)]
    if len(ranks) <= 8:
        shown = list(range(len(ranks)))
    own.set_ticks([at + offset for at in shown], labels=[locale.count(ranks[at]) for at in shown])
    name = locale._("Rank")
    if axis == "x":
        axes.set_xlabel(name, fontsize=SIZE, color=INK)
    else:
        axes.set_ylabel(name, fontsize=SIZE, color=INK)


def _mark(axes: Axes, ranks: Sequence[Rank], height: float, locale: Locale) -> None:
    """The numbers of stragglers above their columns."""
    found = [(one.straggler.delay_us, at) for at, one in enumerate(ranks) if one.straggler is not None]
    taken: list[int] = []
    for _delay, at in sorted(found, reverse=True)[:_MOST_MARKS]:
        if any(abs(at - other) < 0.06 * len(ranks) for other in taken):
            continue
        taken.append(at)
        text = locale._("rank {rank}").format(rank=locale.count(ranks[at].row.rank))
        axes.annotate(
            f"{text} ▾" if at > 0.92 * len(ranks) else f"▾ {text}",
            (at + 0.5, height),
            xytext=(-3 if at <= 0.92 * len(ranks) else 3, 3),
            textcoords="offset points",
            ha="right" if at > 0.92 * len(ranks) else "left",
            fontsize=8,
            color=palette.VERMILION,
            parse_math=False,
        )
