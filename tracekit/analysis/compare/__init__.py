"""From two reports to a `Comparison`: what differs module by module, and what of it is more than noise."""

from __future__ import annotations

from typing import TypeVar

from tracekit.analysis.compare import noise
from tracekit.analysis.compare.align import align
from tracekit.analysis.compare.drafts import finish
from tracekit.analysis.compare.load import is_report, load, read_report
from tracekit.analysis.compare.phase import draft_phase, phase_change, quantity_of
from tracekit.analysis.compare.schema import (
    Change,
    Comparison,
    KernelChange,
    ModuleChange,
    OpChange,
    PlaceChange,
    TypeChange,
)
from tracekit.analysis.compare.sides import Passes, matched_phases
from tracekit.analysis.compare.summary import differences_of, left_out_of, notes_of, side_of, summary_of
from tracekit.analysis.schema import Report
from tracekit.messages import N_, UserError

__all__ = ["Comparison", "compare", "is_report", "load", "read_report"]

_Row = TypeVar("_Row", bound=Change)


def compare(
    before: Report, after: Report, *, level: float = noise.LEVEL, margin: float | None = None
) -> Comparison:
    """What `after` takes more or less time for than `before`, per pass.

    `level`: how probable a difference by chance may be to be called a change; `margin`: how much of a row's
    time may change without being one, by default 2 % of GPU time and 15 % of CPU time. Raises `UserError` for
    reports that hold nothing to compare, and for a level or a margin that makes no sense.
    """
    on_gpu = [bool(one.accounting.gpu_events) for one in (before, after)]
    _check_comparable((before, after), on_gpu)
    quantity = quantity_of(on_gpu)
    method = noise.method(quantity, level, margin)
    pairs = align(before, after)
    drafts = [
        draft_phase(pairs, Passes(before, first, quantity), Passes(after, second, quantity))
        for first, second in matched_phases(before, after)
    ]
    rows = finish([draft for phase in drafts for draft in phase.all], method)
    of_draft = dict(zip((id(draft) for phase in drafts for draft in phase.all), rows, strict=True))
    ordered = sorted(rows, key=lambda row: -abs(row.difference_us))

    def table(kind: type[_Row]) -> tuple[_Row, ...]:
        return tuple(row for row in ordered if type(row) is kind)

    places = table(PlaceChange)
    phases = tuple(
        phase_change(
            phase,
            of_draft[id(phase.total)],
            {name: of_draft[id(draft)] for name, draft in phase.others.items()},
            places,
        )
        for phase in drafts
    )
    modules = table(ModuleChange)
    return Comparison(
        before=side_of(before),
        after=side_of(after),
        quantity=quantity,
        method=method,
        summary=summary_of(quantity, phases, places),
        notes=notes_of(before, after, quantity, phases, modules),
        differences=differences_of(before, after),
        phases=phases,
        places=places,
        modules=modules,
        types=table(TypeChange),
        ops=table(OpChange),
        kernels=table(KernelChange),
        left_out=left_out_of(before, after),
    )


def _check_comparable(sides: tuple[Report, Report], on_gpu: list[bool]) -> None:
    """Refuses what holds nothing that both sides have."""
    for one in sides:
        if not any(row.row for row in one.statistics):
            raise UserError(
                N_("{path}: has neither GPU events nor modules or ops to compare", path=one.trace.path)
            )
    for one in sides:
        if any(on_gpu) and not all(on_gpu) and not one.modules:
            raise UserError(
                N_(
                    "{path}: has no modules, and only one of the two has GPU events: "
                    "nothing is in both to compare",
                    path=one.trace.path,
                )
            )
