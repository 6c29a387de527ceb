"""The passes of one phase compared: their totals, and the rows that these are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracekit.analysis.compare.align import Pair
from tracekit.analysis.compare.drafts import Draft
from tracekit.analysis.compare.noise import CPU_TIME, GPU_TIME, Sample, summed
from tracekit.analysis.compare.schema import Change, PhaseChange, PlaceChange
from tracekit.analysis.compare.sides import Passes, common_phase
from tracekit.analysis.compare.tables import (
    MODULES,
    Sides,
    kernel_drafts,
    module_drafts,
    op_drafts,
    place_drafts,
    type_drafts,
)

# What is said to explain a difference: so much of all changes, in so few places.
ENOUGH_SHARE, MOST_PLACES = 0.8, 6


@dataclass(frozen=True)
class PhaseDrafts:
    sides: Sides
    total: Draft
    others: dict[str, Draft]  # "wall", "latency", "gpu_idle"
    rows: list[Draft]  # of all tables

    @property
    def all(self) -> list[Draft]:
        return [self.total, *self.others.values(), *self.rows]


def draft_phase(pairs: Sequence[Pair], before: Passes, after: Passes) -> PhaseDrafts:
    """All rows of one phase. Where one trace has no GPU, only what is known of both: modules' host time."""
    sides = (before, after)
    on_gpu = [bool(one.report.accounting.gpu_events) for one in sides]
    alike = all(on_gpu) or not any(on_gpu)
    modules = module_drafts(pairs, sides, with_outside=alike)
    if not alike:
        modules = [one for one in modules if one.fields["kind"] == MODULES]
        totals = _sum_of(modules, sides)
    else:
        totals = _of_passes(before), _of_passes(after)
    rows = [*modules, *place_drafts(modules, sides)]
    if alike:
        rows += [*type_drafts(modules, sides), *op_drafts(sides, totals), *kernel_drafts(sides)]
    else:
        kinds = {one.fields["kind"] for one in modules}
        rows += [one for one in type_drafts(modules, sides) if one.fields["kind"] in kinds]
    total = Draft(Change, {}, *totals)
    for one in rows:
        one.total_us = total.difference_us
    others = {}
    for quantity in ("wall", "latency", *(("gpu_idle",) if all(on_gpu) else ())):
        of_pass = before.of_pass(quantity), after.of_pass(quantity)
        if of_pass[0] is not None and of_pass[1] is not None:
            others[quantity] = Draft(Change, {}, *of_pass)
    found = PhaseDrafts(sides, total, others, rows)
    for one in found.all:
        one.passes = before.count, after.count
    return found


def _of_passes(side: Passes) -> Sample:
    return side.of_pass(side.quantity) or summed((), side.count)


def _sum_of(drafts: Sequence[Draft], sides: Sides) -> tuple[Sample, Sample]:
    before = summed((one.before for one in drafts if one.before), sides[0].count)
    return before, summed((one.after for one in drafts if one.after), sides[1].count)


def phase_change(
    drafts: PhaseDrafts, total: Change, others: dict[str, Change], places: Sequence[PlaceChange]
) -> PhaseChange:
    """`places`: all of the comparison, those with the largest difference first."""
    before, after = drafts.sides
    phase = common_phase(before, after)
    explaining = _explaining(places, phase)
    shares = [places[at].share for at in explaining]
    return PhaseChange(
        phase=phase,
        before_phase=before.phase,
        after_phase=after.phase,
        passes_before=before.count,
        passes_after=after.count,
        total=total,
        wall=others.get("wall"),
        latency=others.get("latency"),
        gpu_idle=others.get("gpu_idle"),
        explained_by=explaining,
        explained_share=sum(share or 0.0 for share in shares) if any(shares) else None,
    )


def _explaining(places: Sequence[PlaceChange], phase: str | None) -> tuple[int, ...]:
    """The few places, largest first, that make most of all changes up and down; noise makes none."""
    own = [at for at, place in enumerate(places) if place.phase == phase and place.verdict != "same"]
    everything = sum(abs(places[at].difference_us) for at in own)
    found: list[int] = []
    explained = 0.0
    for at in own[:MOST_PLACES]:
        if explained >= ENOUGH_SHARE * everything:
            break
        found.append(at)
        explained += abs(places[at].difference_us)
    return tuple(found)


def quantity_of(on_gpu: Sequence[bool]) -> str:
    """What is compared: host time where not both traces have GPU events."""
    return GPU_TIME if all(on_gpu) else CPU_TIME
