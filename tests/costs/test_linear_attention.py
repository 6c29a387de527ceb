"""Linear attention against chunked algorithms and loops that count what they do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.costs.counted import Counted, Counter
from tracekit.costs import Cost, cost_of
from tracekit.costs.formulas.linear_attention import delta_rule_flops, dplr_flops, linear_attention_flops

B, F, S = "c10::BFloat16", "float", "Scalar"
LENGTH, CHUNK, K, V = 12, 4, 5, 3


def find(name: str, dims: list[Any], types: list[str], values: list[str] | None = None) -> Cost | None:
    return cost_of(name, *(json.dumps(value).encode() for value in (dims, types, values or [])))


def cost(name: str, dims: list[Any], types: list[str], values: list[str] | None = None) -> Cost:
    found = find(name, dims, types, values)
    assert found is not None
    return found


def matrices(*widths: int) -> list[Any]:
    random = np.random.default_rng(1)
    return [random.normal(size=(LENGTH, width)) / 2 for width in widths]


def test_linear_attention_in_chunks() -> None:
    q, k, v = matrices(K, K, V)
    counter, state, rows = Counter(), np.zeros((K, V)), []
    for start in range(0, LENGTH, CHUNK):
        part = slice(start, start + CHUNK)
        scores = np.tril(counter.product(q[part], k[part].T))
        rows.append(counter.product(scores, v[part]) + counter.product(q[part], state))
        state = state + counter.product(k[part].T, v[part])
    np.testing.assert_allclose(np.concatenate(rows), np.tril(q @ k.T) @ v)
    assert linear_attention_flops(LENGTH, CHUNK, CHUNK, K, V) == counter.flops


def test_delta_rule_in_chunks() -> None:
    q, k, v = matrices(K, K, V)
    counter, state, rows = Counter(), np.zeros((K, V)), []
    for start in range(0, LENGTH, CHUNK):
        part = slice(start, start + CHUNK)
        inverse = counter.unit_triangle_inverse(np.tril(counter.product(k[part], k[part].T), -1))
        w, u = counter.product(inverse, k[part]), counter.product(inverse, v[part])
        new = u - counter.product(w, state)
        scores = np.tril(counter.product(q[part], k[part].T))
        rows.append(counter.product(scores, new) + counter.product(q[part], state))
        state = state + counter.product(k[part].T, new)
    expected, state = [], np.zeros((K, V))
    for t in range(LENGTH):
        state = state + np.outer(k[t], v[t] - k[t] @ state)
        expected.append(q[t] @ state)
    np.testing.assert_allclose(np.concatenate(rows), expected)
    assert delta_rule_flops(LENGTH, CHUNK, CHUNK, K, V) == counter.flops


def test_diagonal_plus_low_rank_in_chunks() -> None:
    """Without the decay, which multiplies q, k, a and b element by element."""
    q, k, a, b, v = matrices(K, K, K, K, V)
    counter, state, rows = Counter(), np.zeros((K, V)), []
    product = counter.product
    for start in range(0, LENGTH, CHUNK):
        part = slice(start, start + CHUNK)
        ab, ak = np.tril(product(a[part], b[part].T), -1), np.tril(product(a[part], k[part].T), -1)
        qb, qk = np.tril(product(q[part], b[part].T)), np.tril(product(q[part], k[part].T))
        inverse = counter.unit_triangle_inverse(-ab)
        w, u = product(inverse, a[part]), product(product(inverse, ak), v[part])
        new = u + product(w, state)
        rows.append(product(qk, v[part]) + product(qb, new) + product(q[part], state))
        state = state + product(k[part].T, v[part]) + product(b[part].T, new)
    expected, state = [], np.zeros((K, V))
    for t in range(LENGTH):
        state = state + np.outer(b[t], a[t] @ state) + np.outer(k[t], v[t])
        expected.append(q[t] @ state)
    np.testing.assert_allclose(np.concatenate(rows), expected)
    assert dplr_flops(LENGTH, CHUNK, CHUNK, K, V) == counter.flops


def test_chunked_functions() -> None:
    # 2 sequences of 128, 4 heads for q and k, 8 for v
    q, v, gate = [2, 128, 4, 32], [2, 128, 8, 16], [2, 128, 8]
    rows = 2 * 128 * 8
    found = cost("ChunkGatedDeltaRuleFunction", [q, q, v, gate, gate], [B] * 5)
    assert found.matrix == rows * (2 * 64 * (3 * 32 + 2 * 16) + 6 * 32 * 16 + 63 * 62 // 3)
    assert found.bytes == 2 * (2 * 32768 + 2 * 32768 + 2 * 2048)
    assert found.dtype == B
    # chunks of 16, as the call says
    dims = [q, q, v, gate, gate, *[[]] * 15]
    types = [B] * 5 + [S] + [""] * 13 + [S]
    found = cost("ChunkGatedDeltaRuleFunction", dims, types, [*[""] * 19, "16"])
    assert found.matrix == rows * (2 * 16 * (3 * 32 + 2 * 16) + 6 * 32 * 16 + 15 * 14 // 3)
    found = cost("ChunkSimpleGLAFunction", [q, q, q, [2, 128, 4]], [B] * 4)
    assert found.matrix == 1024 * 2 * (64 * 64 + 2 * 32 * 32)
    # of 64 · 64 pairs of positions 64 · 65 / 2 are not masked
    assert found.causal_matrix == 1024 * 2 * (65 * 32 + 2 * 32 * 32)
    assert find("ChunkGLAFunction", [[128, 32]] * 3, [B] * 3) is None


def recurrence(update: Callable[[Counter, list[list[Counted]], int], None], steps: int) -> int:
    counter = Counter()
    state = [[counter.number(0.0) for _ in range(V)] for _ in range(K)]
    for _ in range(steps):
        for column in range(V):
            update(counter, state, column)
    return counter.flops


def linear(counter: Counter, state: list[list[Counted]], column: int) -> None:
    y, v = counter.number(0.0), counter.number(0.3)
    for row in range(K):
        state[row][column] = state[row][column] + v * 0.2
        y = y + state[row][column] * 0.7


def gated_delta(counter: Counter, state: list[list[Counted]], column: int) -> None:
    number = counter.number
    known, y, v = number(0.0), number(0.0), number(0.3)
    for row in range(K):
        state[row][column] = state[row][column] * 0.9
        known = known + state[row][column] * 0.2
    new = number(float(v) - float(known))  # and times β: once a column, not counted
    for row in range(K):
        state[row][column] = state[row][column] + new * 0.2
        y = y + state[row][column] * 0.7


def rwkv6(counter: Counter, state: list[list[Counted]], column: int) -> None:
    y, v = counter.number(0.0), counter.number(0.3)
    for row in range(K):
        kv = v * 0.2
        y = y + (kv * 0.4 + state[row][column]) * 0.7
        state[row][column] = state[row][column] * 0.9 + kv


def rwkv7(counter: Counter, state: list[list[Counted]], column: int) -> None:
    number = counter.number
    known, y, v = number(0.0), number(0.0), number(0.3)
    for row in range(K):
        known = known + state[row][column] * 0.2
    for row in range(K):
        state[row][column] = state[row][column] * 0.9 + known * 0.1 + v * 0.2
        y = y + state[row][column] * 0.7


QKV = [[2, 3, 1, K], [2, 3, 1, K], [2, 3, 1, V]]


@pytest.mark.parametrize(
    ("name", "dims", "update"),
    [
        ("FusedRecurrentFunction", QKV, linear),
        ("FusedRecurrentGatedDeltaRuleFunction", [*QKV, [2, 3, 1], [2, 3, 1]], gated_delta),
        ("FusedRecurrentRWKV6Function", [*QKV, [2, 3, 1, K], [1, K]], rwkv6),
        ("FusedRecurrentDPLRDeltaRuleFunction", [*QKV, *[[2, 3, 1, K]] * 3], rwkv7),
    ],
)
def test_steps_do_what_is_counted(
    name: str, dims: list[Any], update: Callable[[Counter, list[list[Counted]], int], None]
) -> None:
    assert cost(name, dims, [F] * len(dims)).vector == recurrence(update, 2 * 3)


def test_rwkv4_does_what_is_counted() -> None:
    counter = Counter()
    number = counter.number
    top, bottom, largest = number(0.0), number(0.0), number(-9.0)
    w, u = number(-0.5), number(0.3)
    for step in range(6):
        k, v = number(0.1 * step), number(1.0)
        bonus = u + k
        common = largest.larger(bonus)
        old, new = (largest - common).exp(), (bonus - common).exp()
        _ = (old * top + new * v) / (old * bottom + new)
        decayed = w + largest
        common = decayed.larger(k)
        old, new = (decayed - common).exp(), (k - common).exp()
        top, bottom, largest = old * top + new * v, old * bottom + new, common
    channels = 8
    dims = [[], [], [], [channels], [channels], [2, 3, channels], [2, 3, channels]]
    found = cost("WKV", dims, [S, S, S, F, F, F, F])
    assert found.vector == channels * counter.flops
    assert found.bytes == 4 * (2 * channels + 3 * 48)


def test_rwkv6_and_7() -> None:
    x = [2, 16, 128]
    found = cost("WKV_6", [[], [], [], [], x, x, x, x, [2, 64]], [S] * 4 + [B] * 5)
    assert found == Cost(bytes=2 * (5 * 4096 + 128), dtype=B, vector=7 * 4096 * 64)
    assert cost("WKV_6", [x, x, x, x, [2, 64]], [B] * 5) == found
    found = cost("WindBackstepping", [[2, 16, 2, 64]] * 6, [B] * 6)
    assert found == Cost(bytes=2 * 7 * 4096, dtype=B, vector=9 * 4096 * 64)


def test_lightning_attention_step() -> None:
    dims = [[2, 4, 1, 8]] * 2 + [[2, 4, 1, 16], [2, 4, 8, 16], [4], [2, 4, 1, 16], [2, 4, 8, 16]]
    found = cost("sgl_kernel::lightning_attention_decode", dims, [F] * 7)
    assert found.vector == 5 * 1024
    assert found.bytes == 4 * (2 * 64 + 2 * 128 + 2 * 1024 + 4)
