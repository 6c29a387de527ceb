"""The rule about copies that take each other back: casts there and back, tensors to the host and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tracekit.analysis.findings.evidence import Evidence
from tracekit.analysis.findings.figures import ms, number
from tracekit.analysis.findings.operands import short_name, tensors_of
from tracekit.analysis.schema import Finding
from tracekit.attribution import NOBODY
from tracekit.messages import N_
from tracekit.trace import Ints

_HOST_COPIES = ("Memcpy DtoH", "Memcpy HtoD")


class _Cast(NamedTuple):
    shape: tuple[int, ...]
    source: str | None
    target: str | None


def undone_casts(evidence: Evidence) -> Iterator[Finding]:
    """A cast and straight after it the cast back, or a copy to the host and back, of a tensor of one shape.

    Evidence is only that nothing else is launched between the two by the same call of a module.
    """
    work, trace = evidence.work, evidence.trace
    casts: list[_Cast | None] = [None] * len(trace.signatures)
    for code in np.unique(work.signature).tolist():
        if code != NOBODY and short_name(trace.signatures[code].name) == "copy":
            inputs = tensors_of(trace.signatures[code])
            if len(inputs) < 2:
                continue
            target, source = inputs[:2]
            if target and source and target.shape == source.shape and target.elements > 1:
                casts[code] = _Cast(target.shape, source.dtype, target.dtype)
    moves = _host_copies(evidence)
    is_copy = evidence.of_work([cast is not None for cast in casts])
    totals: dict[tuple[int, str, str], tuple[int, int, set[int]]] = {}
    label = evidence.label_of_scope(work.scope)
    for first, last in evidence.runs(is_copy & work.in_pass):
        at = first
        while at + 1 < last:
            one, other = casts[int(work.signature[at])], casts[int(work.signature[at + 1])]
            undone = _undoes(one, other, int(moves[at]), int(moves[at + 1]))
            if undone is not None:
                key = (int(label[at]), *undone)
                pairs, time, scopes = totals.get(key, (0, 0, set()))
                time += int(work.gpu_time[at] + work.gpu_time[at + 1])
                totals[key] = pairs + 1, time, scopes | {int(work.scope[at])}
            at += 1 if undone is None else 2
    for (group, start, end), (pairs, time, scopes) in totals.items():
        gain = evidence.per_pass_us(time)
        if evidence.matters(gain):
            yield Finding(
                id="copies.undone",
                severity=evidence.severity(gain),
                module=evidence.module_of(group, scopes),
                evidence=N_(
                    "copies from {source} to {target} and straight back, of equal shape and with nothing "
                    "between: {pairs} a pass, {time} ms",
                    source=start,
                    target=end,
                    pairs=number(pairs / evidence.passes),
                    time=ms(gain),
                ),
                gain_us=gain,
                advice=N_("leave both out; going through a narrower type does round the values"),
            )


def _undoes(one: _Cast | None, other: _Cast | None, move: int, other_move: int) -> tuple[str, str] | None:
    """What the second copy takes back, as (from, to), where it does."""
    if one is None or other is None or one.shape != other.shape:
        return None
    if (one.source, one.target) != (other.target, other.source):
        return None
    if one.source != one.target:
        return _type_name(one.source), _type_name(one.target)
    return {(1, 2): ("GPU", "CPU"), (2, 1): ("CPU", "GPU")}.get((move, other_move))


def _type_name(dtype: str | None) -> str:
    return (dtype or "").removeprefix("c10::")


def _host_copies(evidence: Evidence) -> Ints:
    """Per item of work: 1 where it copies to the host, 2 where from it, else 0."""
    trace, work = evidence.trace, evidence.work
    direction = np.array(
        [
            next((i for i, words in enumerate(_HOST_COPIES, 1) if name.startswith(words)), 0)
            for name in trace.names
        ],
        np.int64,
    )
    of_op = np.zeros(len(evidence.attribution.ops) + 1, np.int64)
    known = evidence.attribution.gpu_op != NOBODY
    np.maximum.at(of_op, evidence.attribution.gpu_op[known], direction[trace.gpu_events.name[known]])
    return np.asarray(np.where(work.op != NOBODY, of_op[work.op], 0), np.int64)
