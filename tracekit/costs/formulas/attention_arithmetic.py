"""The arithmetic of attention: FLOPs of scores and values, what a mask leaves of them, bytes.

2·QKᵀ + 2·AV without a causal discount, with query heads for GQA, as `torch.utils.flop_counter` counts them.
It knows no op: where the sizes stand in a call is the business of `attention` and its siblings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tracekit.costs.registry import Cost, total

SOFTMAX_FLOPS_PER_SCORE = 5
"""The maximum, its subtraction, exp, the sum, the division: one each."""

SOFTMAX_BACKWARD_FLOPS_PER_SCORE = 4
"""The score less its log-sum-exp, exp, the gradient less its row's mean, their product."""


def attention_flops(batch: int, heads: int, queries: int, keys: int, d_qk: int, d_v: int) -> int:
    """Scores [queries, d_qk] @ [d_qk, keys], then [queries, keys] @ [keys, d_v], per batch and head."""
    return 2 * batch * heads * queries * keys * (d_qk + d_v)


def attention_backward_flops(batch: int, heads: int, queries: int, keys: int, d_qk: int, d_v: int) -> int:
    """Scores again, then dV = Aᵀ·dO, dA = dO·Vᵀ, dQ = dS·K, dK = dSᵀ·Q: what a fused backward computes."""
    return 2 * batch * heads * queries * keys * (3 * d_qk + 2 * d_v)


@dataclass(frozen=True)
class Sizes:
    """`batch` sequences, each with as many queries and keys; `heads` are those of the queries."""

    batch: int
    heads: int
    queries: int
    keys: int
    d_qk: int
    d_v: int


@dataclass(frozen=True)
class Mask:
    """Query i sees keys from i + shift - left to i + shift + right; None: as far as there are keys.

    `shift` is 0 where the first query faces the first key (top-left, as `torch.nn.functional.
    scaled_dot_product_attention` documents `is_causal`), keys - queries where the last faces the last
    (bottom-right, as flash-attn does since 2.1).
    """

    left: int | None = None
    right: int | None = None
    bottom_right: bool = False

    def visible(self, queries: int, keys: int) -> int:
        """How many of a head's queries · keys scores it leaves."""
        shift = keys - queries if self.bottom_right else 0
        last = queries * keys if self.right is None else _clipped(shift + self.right + 1, queries, keys)
        first = 0 if self.left is None else _clipped(shift - self.left, queries, keys)
        return max(0, last - first)


def _clipped(start: int, count: int, top: int) -> int:
    """The sum of `count` numbers from `start` on, each at least 0 and at most `top`."""

    def up_to(end: int) -> int:
        below = min(max(end, 0), top + 1)
        return below * (below - 1) // 2 + max(end - top - 1, 0) * top

    return up_to(start + count) - up_to(start)


CAUSAL = Mask(right=0)
CAUSAL_BOTTOM_RIGHT = Mask(right=0, bottom_right=True)


def attention_cost(
    sizes: Sizes,
    dtype: str | None,
    traffic: Iterable[int | None] = (),
    mask: Mask | None = None,
    backward: bool = False,
) -> Cost:
    """The cost of an attention core, or of its backward.

    `dtype`: of the operands; `traffic`: bytes of everything read and written, None where one is unknown (no
    traffic at all: unknown). `mask` is what a causal or sliding-window mask leaves: the vector FLOPs are
    those of the scores that it leaves, `matrix` is undiscounted.

    Vector FLOPs: 5 per score forward, 4 per score backward and 2 per element of the output (the mean of a
    row's gradient is the sum of dO·O).
    """
    scores = sizes.queries * sizes.keys
    visible = scores if mask is None else mask.visible(sizes.queries, sizes.keys)
    rows = sizes.batch * sizes.heads
    width = 3 * sizes.d_qk + 2 * sizes.d_v if backward else sizes.d_qk + sizes.d_v
    vector = rows * visible * SOFTMAX_FLOPS_PER_SCORE
    if backward:
        vector = rows * (visible * SOFTMAX_BACKWARD_FLOPS_PER_SCORE + 2 * sizes.queries * sizes.d_v)
    parts = list(traffic)
    return Cost(
        matrix=2 * rows * scores * width,
        bytes=total(*parts) if parts else None,
        dtype=dtype,
        vector=vector,
        causal_matrix=None if mask is None else 2 * rows * visible * width,
    )
