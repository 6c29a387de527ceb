"""Rules about operators that are slower than the trace itself shows this device to be.

A bound says what no code reaches; what other operators of the same kind and size reach in the same trace is
what this device, with these libraries, has been seen to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tracekit.analysis.findings.evidence import Evidence
from tracekit.analysis.findings.figures import ms, percent
from tracekit.analysis.schema import Finding, OpRow, Report
from tracekit.messages import N_

# An operator is compared with those whose FLOPs (of products), or bytes, differ by no more than this factor.
SIMILAR_SIZE = 4.0
# It is named where it reaches less than this part of what they do. Products of one size differ little; what
# moves data differs with strides and alignment, so that only what is far behind is worth a word.
PRODUCTS_BEHIND = 0.8
MOVES_BEHIND = 0.5


def behind_their_like(evidence: Evidence, report: Report) -> Iterator[Finding]:
    """Operators whose share of the bound is far below that of the best of their kind and size."""
    known = [row for row in report.ops if row.bound_share is not None and not row.beats_bound]
    products = [row for row in known if row.limited_by == "compute" and row.matrix_flops]
    # What torch's own elementwise operators lose is better won by fusing them, which has a rule of its own;
    # of compiled kernels the bytes are a lower bound.
    moves = [
        row
        for row in known
        if row.limited_by == "memory"
        and not row.matrix_flops
        and not row.name.startswith(("aten::", "triton_"))
    ]
    yield from _behind(evidence, products, PRODUCTS_BEHIND, "tflops")
    yield from _behind(evidence, moves, MOVES_BEHIND, "gbs")


def _behind(evidence: Evidence, rows: Sequence[OpRow], behind: float, rate: str) -> Iterator[Finding]:
    size = np.array([_size(row) for row in rows], np.float64)
    reached = np.array([_reached(row) for row in rows], np.float64)
    numbers: dict[str | None, int] = {}
    types = np.array([numbers.setdefault(row.dtypes, len(numbers)) for row in rows], np.int64)
    for position, row in enumerate(rows):
        ratio = size / size[position]
        is_like = (ratio >= 1 / SIMILAR_SIZE) & (ratio <= SIMILAR_SIZE)
        if rate == "tflops":
            is_like &= types == types[position]
        best = rows[int(np.argmax(np.where(is_like, reached, -1.0)))]
        if _reached(row) >= behind * _reached(best):
            continue
        gain = evidence.per_pass_us(1000 * row.gpu_time_us * (1 - _reached(row) / _reached(best)))
        severity = evidence.severity(gain)
        if severity == "low":
            continue
        unit = N_("TFLOP/s") if rate == "tflops" else N_("GB/s")
        yield Finding(
            id="op.behind_its_like",
            severity=severity,
            evidence=N_(
                "{name} of {shapes} (calls: {calls}) takes {time} ms and reaches {share}% of the bound, "
                "{speed} {unit}; {best} of {best_shapes} reaches {best_share}%, {best_speed} {unit}",
                name=row.name,
                shapes=_short(row.shapes),
                calls=row.calls,
                time=ms(row.gpu_time_us),
                share=percent(_reached(row)),
                speed=f"{getattr(row, rate) or 0.0:.0f}",
                unit=unit,
                best=best.name,
                best_shapes=_short(best.shapes),
                best_share=percent(_reached(best)),
                best_speed=f"{getattr(best, rate) or 0.0:.0f}",
            ),
            gain_us=gain,
            advice=N_(
                "look for another kernel for this size: tuned GEMMs (TunableOp, cuBLASLt or hipBLASLt "
                "heuristics, max-autotune), another layout or padding"
            )
            if rate == "tflops"
            else N_("look for another kernel for this size, or for contiguous and aligned operands"),
        )


def _reached(row: OpRow) -> float:
    return row.bound_share or 0.0


def _size(row: OpRow) -> float:
    """Of a call: FLOPs, or bytes."""
    return max(1.0, (row.matrix_flops or row.bytes or 0) / max(1, row.calls))


def _short(shapes: str | None) -> str:
    text = shapes or ""
    return text if len(text) <= 60 else f"{text[:60]}…"
