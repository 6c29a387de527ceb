"""The rule about attention that writes its scores to memory, where a fused kernel keeps them on the chip."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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

# With fewer queries or keys the scores fit into caches, and there is nothing to gain.
LEAST_SEQUENCE = 128
# So many kernels may stand between the softmax and each product: scale, mask, casts, dropout.
FARTHEST = 12
_SOFTMAX = frozenset(("_softmax", "_safe_softmax"))


class _Scores(NamedTuple):
    """What an op is to scores: their softmax, a product, or another that reads so many elements."""

    softmax: tuple[int, int, int, str] | None  # elements, queries, keys, type
    gemm: Gemm | None
    elements: int  # of the largest operand


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
    work = evidence.work
    roles = [_NOTHING] * len(evidence.trace.signatures)
    for code in np.unique(work.signature).tolist():
        if code != NOBODY:
            roles[code] = _role(evidence, code)
    at = np.flatnonzero(evidence.of_work([role.softmax is not None for role in roles]) & work.in_pass)
    signature = work.signature.tolist()
    found = []
    for position in at.tolist():
        softmax = roles[signature[position]].softmax
        products = _between_products(evidence, roles, position)
        if softmax is None or products is None:
            continue
        first, last = products
        between = [i for i in range(first + 1, last) if signature[i] != NOBODY]
        inner = tuple(i for i in between if roles[signature[i]].elements == softmax[0])
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


_NOTHING = _Scores(None, None, 0)


def _role(evidence: Evidence, code: int) -> _Scores:
    signature = evidence.trace.signatures[code]
    tensors = [one for one in tensors_of(signature) if one is not None]
    elements = max((one.elements for one in tensors), default=0)
    softmax = None
    if short_name(signature.name) in _SOFTMAX and tensors and len(tensors[0].shape) > 1:
        *_, queries, keys = tensors[0].shape
        if min(queries, keys) >= LEAST_SEQUENCE:
            softmax = tensors[0].elements, queries, keys, tensors[0].dtype or ""
    return _Scores(softmax, gemm_of(signature), elements)


def _between_products(evidence: Evidence, roles: Sequence[_Scores], softmax: int) -> tuple[int, int] | None:
    """Positions of the products that make the scores and take them, in one call of a module."""
    work = evidence.work
    wanted = roles[int(work.signature[softmax])].softmax
    if wanted is None:
        return None
    elements, queries, keys, _ = wanted

    def makes(one: Gemm) -> bool:
        return one.batch * one.m * one.n == elements and (one.m, one.n) == (queries, keys)

    def takes(one: Gemm) -> bool:
        return one.batch * one.m * one.k == elements and (one.m, one.k) == (queries, keys)

    found = []
    for step, fits in ((-1, makes), (1, takes)):
        for position in range(softmax + step, softmax + step * (FARTHEST + 2), step):
            if not 0 <= position < len(work) or work.thread[position] != work.thread[softmax]:
                return None
            gemm = roles[int(work.signature[position])].gemm if work.signature[position] != NOBODY else None
            if gemm is not None:
                if not fits(gemm):
                    return None
                found.append(position)
                break
        else:
            return None
    first, last = found
    return (first, last) if work.scope[first] == work.scope[last] else None
