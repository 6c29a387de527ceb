"""What a comparison says in words: its headline, what to know before trusting it, and how the two differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tracekit.analysis.compare.noise import GPU_TIME
from tracekit.analysis.compare.schema import (
    Change,
    Difference,
    LeftOut,
    ModuleChange,
    PhaseChange,
    PlaceChange,
    Side,
)
from tracekit.analysis.compare.sides import phases_of
from tracekit.analysis.findings.figures import ms, number
from tracekit.analysis.schema import Report
from tracekit.messages import N_, Message

_FIELDS = {
    "device": ("name", "kind"),
    "model": (
        "class_",
        "name",
        "dtype",
        "mode",
        "batch_size",
        "sequence_length",
        "parameters",
        "num_blocks",
        "hidden_size",
        "attention_type",
    ),
    "trace": ("module_source",),
    "capture": ("compiled", "cuda_graph"),
}
_LEFT_OUT = ("launched_before_trace", "before_first_pass", "outlier_passes")  # rows of "left_out"
# Passes that compute so much more than the others are compared as they are, with a word.
_FLOPS_RATIO = 1.02
MOST_NAMED = 5


def side_of(report: Report) -> Side:
    return Side(
        path=report.trace.path,
        device=report.device.name,
        model=report.model.name or report.model.class_,
        passes=report.time.passes,
        module_source=report.trace.module_source,
    )


def differences_of(before: Report, after: Report) -> tuple[Difference, ...]:
    """The facts about device, model and capture that are not the same."""
    found = []
    for part, fields in _FIELDS.items():
        for field in fields:
            values = [_text(getattr(getattr(one, part), field)) for one in (before, after)]
            if values[0] != values[1]:
                found.append(Difference(f"{part}.{field.rstrip('_')}", *values))
    return tuple(found)


def _text(value: Any) -> str | None:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or None
    return None if value is None else str(value)


def left_out_of(before: Report, after: Report) -> tuple[LeftOut, ...]:
    """The GPU time of both traces that is in no pass which is compared."""
    known: list[dict[int, float]] = [{}, {}]
    for side, report in enumerate((before, after)):
        for one in report.statistics:
            if one.table == "left_out":
                known[side] = dict(zip(one.row, one.mean_us, strict=True))
    return tuple(
        LeftOut(kind, known[0].get(row, 0.0), known[1].get(row, 0.0))
        for row, kind in enumerate(_LEFT_OUT)
        if row in known[0] or row in known[1]
    )


def summary_of(
    quantity: str, phases: Sequence[PhaseChange], places: Sequence[PlaceChange]
) -> tuple[Message, ...]:
    """For each phase what its passes take, and where most of the difference is."""
    found: list[Message] = []
    for phase in phases:
        for said in _of_phase(quantity, phase, places):
            several = len(phases) > 1 and phase.phase is not None
            found.append(N_("{phase}: {statement}", phase=phase.phase, statement=said) if several else said)
    return tuple(found)


def _of_phase(quantity: str, phase: PhaseChange, places: Sequence[PlaceChange]) -> Iterator[Message]:
    yield _headline(quantity, phase.total)
    explaining = [places[at] for at in phase.explained_by]
    if explaining:
        together = sum(one.difference_us for one in explaining)
        yield N_(
            "most of the changes, {together} ms together: {places}",
            together=_signed_ms(together),
            places=[_place(one) for one in explaining],
        )


def _headline(quantity: str, total: Change) -> Message:
    of_gpu = quantity == GPU_TIME
    before, after = total.before_us or 0.0, total.after_us or 0.0
    values = {"before": ms(before), "after": ms(after)}
    if not total.difference_us:
        if of_gpu:
            return N_("no difference: a pass takes {before} ms of GPU time in both", **values)
        return N_("no difference: a pass takes {before} ms of CPU time in both", **values)
    if total.verdict == "same":
        if of_gpu:
            return N_(
                "no change beyond noise: a pass takes {before} ms of GPU time before, {after} ms after",
                **values,
            )
        return N_(
            "no change beyond noise: a pass takes {before} ms of CPU time before, {after} ms after", **values
        )
    values["percent"] = f"{abs(total.relative) * 100:.3g}" if total.relative is not None else "∞"
    if total.difference_us > 0:
        if of_gpu:
            return N_("a pass takes {after} ms of GPU time instead of {before} ms, {percent}% more", **values)
        return N_("a pass takes {after} ms of CPU time instead of {before} ms, {percent}% more", **values)
    if of_gpu:
        return N_("a pass takes {after} ms of GPU time instead of {before} ms, {percent}% less", **values)
    return N_("a pass takes {after} ms of CPU time instead of {before} ms, {percent}% less", **values)


def _place(change: PlaceChange) -> Message:
    """A place and its part of the difference."""
    place: Any = change.place or change.type or N_("(model)")
    if change.kind == "outside_modules":
        place = N_("outside modules")
    elif change.kind == "launched_before_trace":
        place = N_("launched before the trace")
    elif change.kind == "modules_backward":
        place = N_("backward of {place}", place=place)
    difference = _signed_ms(change.difference_us)
    if change.modules_before != change.modules_after:
        return N_(
            "{place} {difference} ms (modules: {before} → {after})",
            place=place,
            difference=difference,
            before=number(change.modules_before),
            after=number(change.modules_after),
        )
    return N_("{place} {difference} ms", place=place, difference=difference)


def _signed_ms(us: float) -> str:
    return f"{us / 1000:+.3g}".replace("-", "−")


def notes_of(
    before: Report,
    after: Report,
    quantity: str,
    phases: Sequence[PhaseChange],
    modules: Sequence[ModuleChange],
) -> tuple[Message, ...]:
    """What to know before trusting the figures."""
    return tuple(_notes(before, after, quantity, phases, modules))


def _notes(
    before: Report,
    after: Report,
    quantity: str,
    phases: Sequence[PhaseChange],
    modules: Sequence[ModuleChange],
) -> Iterator[Message]:
    sides = (before, after)
    if all(phase.passes_before < 2 and phase.passes_after < 2 for phase in phases):
        yield N_("there is one pass on each side, so how much of a difference is noise is unknown")
    elif any(phase.passes_before < 2 or phase.passes_after < 2 for phase in phases):
        yield N_(
            "there is one pass on one side of a phase: it is taken to vary as the passes of the other side do"
        )
    on_gpu = [bool(one.accounting.gpu_events) for one in sides]
    if any(on_gpu) and not all(on_gpu):
        yield N_(
            "only one of the traces has GPU events, so the time of modules on the host is compared, "
            "without their backward"
        )
    if quantity == GPU_TIME and before.device.kind != after.device.kind:
        yield N_("the devices are of different kinds, so their kernels have different names throughout")
    names = [phases_of(one) for one in sides]
    if set(names[0]) != set(names[1]):
        compared = {(phase.before_phase, phase.after_phase) for phase in phases}
        for side, known in enumerate(names):
            alone = [name for name in known if name and all(name != pair[side] for pair in compared)]
            if alone:
                yield N_("phases of {path} alone: {phases}", path=sides[side].trace.path, phases=alone)
        for first, second in compared:
            if first != second:
                yield N_(
                    "the passes are of phases with different names: {before} and {after}",
                    before=first or "–",
                    after=second or "–",
                )
    yield from notes_of_passes(before, after)
    for left_out in left_out_of(before, after):
        if left_out.kind == "launched_before_trace":
            yield N_(
                "GPU time that was launched before the traces began is not compared: "
                "{before} ms before and {after} ms after",
                before=ms(left_out.before_us),
                after=ms(left_out.after_us),
            )
    folded = [one.key or (one.type_before or "") for one in modules if one.folded and one.kind == "modules"]
    if folded:
        yield N_(
            "one trace knows nothing below these modules, as where they are compiled, so they are compared "
            "whole: {modules}",
            modules=[*folded[:MOST_NAMED], *(["…"] if len(folded) > MOST_NAMED else [])],
        )


def notes_of_passes(before: Report, after: Report) -> Iterator[Message]:
    """What passes differ in, and which of them are left out."""
    yield from _more_work(before, after)
    for one in (before, after):
        outliers = sum(row.outlier for row in one.passes)
        if outliers:
            yield N_(
                "passes of {path} that take far longer than the others are not compared: {count}",
                path=one.trace.path,
                count=number(outliers),
            )


def _more_work(before: Report, after: Report) -> Iterator[Message]:
    """Where a pass of one computes more than one of the other, as with another batch."""
    flops = [one.flops.matrix_per_pass for one in (before, after)]
    if not flops[0] or not flops[1]:
        return
    ratio = flops[1] / flops[0]
    if max(ratio, 1 / ratio) > _FLOPS_RATIO:
        yield N_(
            "the passes do not do the same work: one after has {ratio} × the matrix FLOPs of one before",
            ratio=f"{ratio:.3g}",
        )
