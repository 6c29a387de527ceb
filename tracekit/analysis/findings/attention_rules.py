"""The rule about attention that writes its scores to memory, where a fused kernel keeps them on the chip."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np

from tracekit.analysis.findings.evidence import Evidence
from tracekit.analysis.findings.figures import megabytes, ms, number
from tracekit.analysis.findings.gemm_rules import Gemm, gemm_of
from tracekit.analysis.findings.operands import short_name, tensors_of
from tracekit.analysis.schema import Finding
from tracekit.attribution import NOBODY
from tracekit.costs.registry import DTYPE_BYTES
from tracekit.messages import N_
from tracekit.trace import Signature

# With fewer queries or keys the scores fit into caches, and there is nothing to gain.
LEAST_SEQUENCE = 128
# So many kernels may stand between the softmax and each product: scale, mask, casts, dropout.
FARTHEST = 12
_SOFTMAX = frozenset(("_softmax", "_safe_softmax"))


class _Softmax(NamedTuple):
    """The scores that a softmax is over."""

    elements: int
    queries: int
    keys: int
    dtype: str


@dataclass
class _Total:
    time: int = 0
    traffic: int = 0
    calls: int = 0
    shape: tuple[int, int] = (0, 0)
    ops: tuple[str, ...] = ()
    scopes: set[int] = field(default_factory=set)


class AttentionCall(NamedTuple):
    """Positions in `Evidence.work`, and what the softmax is over."""

    first: int  # the product that makes the scores
    last: int  # the one that takes them
    inner: tuple[int, ...]  # what runs on the scores between the two
    elements: int
    queries: int
    keys: int
    dtype: str


def attention_calls(evidence: Evidence) -> list[AttentionCall]:
    """Where a softmax stands between a product that makes scores and one that takes them."""
    work, signatures = evidence.work, evidence.trace.signatures
    known: list[_Softmax | None] = [None] * len(signatures)
    for code in np.unique(work.signature).tolist():
        if code != NOBODY:
            known[code] = _softmax_of(signatures[code])
    at = np.flatnonzero(evidence.of_work([one is not None for one in known]) & work.in_pass)
    gemm = cache(lambda code: gemm_of(signatures[code]) if code != NOBODY else None)
    elements = cache(lambda code: _most_elements(signatures[code]) if code != NOBODY else 0)
    found = []
    for position in at.tolist():
        softmax = known[int(work.signature[position])]
        products = softmax and _between_products(evidence, gemm, position, softmax)
        if softmax is None or products is None:
            continue
        first, last = products
        between = enumerate(work.signature[first + 1 : last].tolist(), first + 1)
        inner = tuple(i for i, code in between if elements(code) == softmax.elements)
        found.append(AttentionCall(first, last, inner, *softmax))
    return found


def materialised_attention(evidence: Evidence, calls: Sequence[AttentionCall]) -> Iterator[Finding]:
    """Attention in several kernels that hand the scores to each other through memory.

    The gain is the GPU time of what runs on the scores between the two products: a fused kernel does that
    where the scores are made. What the products themselves spend on writing and reading them comes on top.
    """
    work, trace = evidence.work, evidence.trace
    totals: dict[int, _Total] = defaultdict(_Total)
    for call in calls:
        scope = int(work.scope[call.first])
        total = totals[int(evidence.label_of_scope(np.array([scope]))[0])]
        total.time += int(work.gpu_time[list(call.inner)].sum())
        total.traffic += call.elements * DTYPE_BYTES.get(call.dtype, 0)
        total.calls += 1
        total.shape = max(total.shape, (call.queries, call.keys))
        names = [trace.signatures[int(work.signature[i])].name for i in (call.first, *call.inner, call.last)]
        total.ops = total.ops or tuple(map(short_name, names))
        total.scopes.add(scope)
    for group, total in totals.items():
        gain = evidence.per_pass_us(total.time)
        if not evidence.matters(gain):
            continue
        yield Finding(
            id="attention.materialised",
            severity=evidence.severity(gain),
            module=evidence.module_of(group, total.scopes),
            evidence=N_(
                "attention writes its scores of {queries} × {keys} to memory "
                "({ops}; calls in a pass: {calls}, modules: {modules}): "
                "{size} MB of scores in a pass, {time} ms between the two products",
                queries=total.shape[0],
                keys=total.shape[1],
                ops=" → ".join(total.ops),
                calls=number(total.calls / evidence.passes),
                modules=evidence.modules_in(total.scopes),
                size=megabytes(total.traffic / evidence.passes),
                time=ms(gain),
            ),
            gain_us=gain,
            advice=N_(
                "use scaled_dot_product_attention (attn_implementation='sdpa' or a flash attention) "
                "with a mask that its fused kernels take"
            ),
        )


def _softmax_of(signature: Signature) -> _Softmax | None:
    """None for what is no softmax, or one over few scores."""
    if short_name(signature.name) not in _SOFTMAX:
        return None
    scores = next((one for one in tensors_of(signature) if one is not None), None)
    if scores is None or len(scores.shape) < 2:
        return None
    *_, queries, keys = scores.shape
    if min(queries, keys) < LEAST_SEQUENCE:
        return None
    return _Softmax(scores.elements, queries, keys, scores.dtype or "")


def _most_elements(signature: Signature) -> int:
    """Of the largest tensor that an op reads."""
    return max((one.elements for one in tensors_of(signature) if one is not None), default=0)


def _between_products(
    evidence: Evidence, gemm_of_code: Callable[[int], Gemm | None], softmax: int, scores: _Softmax
) -> tuple[int, int] | None:
    """Positions of the products that make the scores and take them, in one call of a module."""
    work = evidence.work
    elements, queries, keys, _ = scores

    def makes(one: Gemm) -> bool:
        return one.batch * one.m * one.n == elements and (one.m, one.n) == (queries, keys)

    def takes(one: Gemm) -> bool:
        return one.batch * one.m * one.k == elements and (one.m, one.k) == (queries, keys)

    found = []
    for step, fits in ((-1, makes), (1, takes)):
        for position in range(softmax + step, softmax + step * (FARTHEST + 2), step):
            if not 0 <= position < len(work) or work.thread[position] != work.thread[softmax]:
                return None
            gemm = gemm_of_code(int(work.signature[position]))
            if gemm is not None:
                if not fits(gemm):
                    return None
                found.append(position)
                break
        else:
            return None
    first, last = found
    return (first, last) if work.scope[first] == work.scope[last] else None
