"""Which bars lead from the total before to the total after; shared by the picture and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracekit.analysis.compare.schema import PhaseChange, PlaceChange
from tracekit.report.comparison.figures import sum_of
from tracekit.report.comparison.words import Words, ranked_places

MOST_STEPS = 12
_LEAST = 0.01  # of the largest difference: smaller ones are folded, they would not be seen
_ROOM = 0.25  # of the changes' range, left free where the axis does not begin at 0
_FLAT = 0.5  # of the larger total; changes within less of it would be too short on an axis from 0

MORE, LESS, NOISE = "more", "less", "noise"


@dataclass(frozen=True)
class Step:
    """One difference, drawn from `start_us` to `end_us`. `look`: more or less time, or within noise."""

    name: str
    start_us: float
    end_us: float
    look: str
    stands_for_others: bool = False

    @property
    def difference_us(self) -> float:
        return self.end_us - self.start_us


@dataclass(frozen=True)
class Waterfall:
    before_us: float
    after_us: float
    steps: Sequence[Step]  # the last may stand for all others, so that they lead to `after_us`
    least_us: float  # where the axis begins
    most_us: float  # and the end of its longest bar


def waterfall(words: Words, phase: PhaseChange) -> Waterfall:
    """The bars of one phase: first the places that explain its difference, then others that can be seen."""
    ranked = ranked_places(words.comparison, phase)
    largest = max((abs(place.difference_us) for place in ranked), default=0.0)
    explained = len(phase.explained_by)
    visible = sum(abs(place.difference_us) > _LEAST * largest for place in ranked[explained:])
    shown = min(explained + visible, max(MOST_STEPS, explained))
    before_us, after_us = phase.total.before_us or 0.0, phase.total.after_us or 0.0

    steps, at = [], before_us
    for place in ranked[:shown]:
        end = at + place.difference_us
        steps.append(Step(words.place(place), at, end, _look(place)))
        at = end
    rest = ranked[shown:]
    if rest:
        name = words.locale.ngettext("other ({n} place)", "other ({n} places)", len(rest))
        look = MORE if sum_of(rest).difference_us > 0 else LESS
        if all(place.verdict == "same" for place in rest):
            look = NOISE
        steps.append(Step(name, at, after_us, look, stands_for_others=True))
    return Waterfall(before_us, after_us, steps, *_range(before_us, after_us, steps))


def waterfalls(words: Words) -> list[tuple[PhaseChange, Waterfall]]:
    """Of each phase in which the quantity is known on both sides."""
    return [
        (phase, waterfall(words, phase))
        for phase in words.comparison.phases
        if phase.total.before_us is not None and phase.total.after_us is not None
    ]


def _look(place: PlaceChange) -> str:
    if place.verdict == "same":
        return NOISE
    return MORE if place.difference_us > 0 else LESS


def _range(before_us: float, after_us: float, steps: Sequence[Step]) -> tuple[float, float]:
    ends = [before_us, after_us, *(step.end_us for step in steps)]
    least, most = min(ends), max(ends)
    if most == least or most - least >= _FLAT * most:
        return 0.0, most
    return max(0.0, least - _ROOM * (most - least)), most
