"""Scans against loops that count what they do, and whole blocks against sums on paper."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.costs.counted import Counter
from tracekit.costs import Cost, cost_of
from tracekit.costs.formulas.scans import chunk_pairs, ssd_flops
from tracekit.costs.registry import is_wrapper

B, F, S = "c10::BFloat16", "float", "Scalar"


def find(name: str, dims: list[Any], types: list[str], values: list[str] | None = None) -> Cost | None:
    return cost_of(name, *(json.dumps(value).encode() for value in (dims, types, values or [])))


def cost(name: str, dims: list[Any], types: list[str], values: list[str] | None = None) -> Cost:
    found = find(name, dims, types, values)
    assert found is not None
    return found


def test_selective_scan_does_what_is_counted() -> None:
    channels, steps, state = 3, 5, 4
    counter = Counter()
    number = counter.number
    for channel in range(channels):
        h = [number(0.0)] * state
        for step in range(steps):
            delta, u = number(0.1 + step), number(0.5 * channel)
            delta_u = delta * u
            y = number(0.0)
            for n in range(state):
                decay = (delta * -1.0).exp()
                h[n] = decay * h[n] + delta_u * 0.3
                y = y + h[n] * 0.7
    dims = [[1, channels, steps]] * 2 + [[channels, state]] + [[1, state, steps]] * 2
    assert cost("SelectiveScanFn", dims, [F] * 5).vector == counter.flops


def test_selective_scan_with_everything() -> None:
    u, a, b, d = [2, 64, 10], [64, 16], [2, 16, 10], [64]
    dims = [u, u, a, b, b, d, u, d, [], [], []]
    types = [B, B, F, B, B, F, B, F, S, S, ""]
    found = cost("SelectiveScanFn", dims, types, [*[""] * 8, "True", "False", ""])
    n = 2 * 64 * 10
    # D: 2, gate: SiLU and a product, bias: 1, softplus: 3
    assert found.vector == n * (7 * 16 + 1 + 2 + 3 + 1 + 3)
    # u, Δ, z and the result; B and C; A, D and bias in float32
    assert found.bytes == 2 * (4 * n + 2 * 320) + 4 * (1024 + 128)
    assert found.matrix == 0
    # an old profiler records the tensors alone: the softplus is not known
    old = cost("SelectiveScanFn", [shape for shape in dims if shape], [t for t in types if t not in ("", S)])
    assert (old.bytes, old.vector) == (found.bytes, found.vector - 3 * n)


def test_selective_scan_of_packed_sequences() -> None:
    u = [64, 100]
    dims = [u, u, [64, 16], [1, 16, 100], [1, 16, 100], [64], u, [64], [], [4], [3], [3], [8, 64, 16], []]
    types = [B, B, F, B, B, F, B, F, S, "int", "int", "bool", B, S]
    found = cost("_C::selective_scan_fwd", dims, types, [*[""] * 8, "True", "", "", "", "", "-1"])
    assert found.vector == 6400 * (7 * 16 + 1 + 2 + 3 + 1 + 3)
    assert found.bytes == 2 * (4 * 6400 + 2 * 1600) + 4 * (1024 + 128)


def test_causal_convolution() -> None:
    x, weight = [2, 64, 10], [64, 4]
    n = 2 * 64 * 10
    dims = [x, weight, [64], [], [], x, [], []]
    types = [B, B, B, "", "", B, "", S]
    found = cost("DaoAILab::_causal_conv1d_fwd_cpp", dims, types, [*[""] * 7, "True"])
    # four weights an element, as a depthwise aten::convolution; SiLU
    assert found == Cost(matrix=2 * 4 * n, bytes=2 * (2 * n + 256 + 64), dtype=B, vector=2 * n)
    depthwise = ["", "", "", "[1]", "[3]", "[1]", "False", "[0]", "64"]
    assert found.matrix == pytest.approx(
        cost("aten::convolution", [x, [64, 1, 4], []], [B, B, ""], depthwise).matrix * 10 / 13
    )
    found = cost("CausalConv1dFn", [x, weight, [64]], [B, B, B])
    assert (found.matrix, found.bytes) == (2 * 4 * n, 2 * (2 * n + 256 + 64))
    assert is_wrapper("CausalConv1dFn")
    # one step of 8 sequences: states of 3 past inputs are read and written
    dims = [[8, 64], [100, 64, 3], weight, [64], [], []]
    found = cost("_C::causal_conv1d_update", dims, [B, B, B, B, S, ""], ["", "", "", "", "True", ""])
    assert found == Cost(2 * 4 * 512, 2 * (2 * 512 + 256 + 64 + 2 * 8 * 192), B, 1024)


def test_backward_counts_what_is_proven() -> None:
    n = 2 * 64 * 10
    assert cost("SelectiveScanFnBackward", [[2, 64, 10]], [B]) == Cost(bytes=2 * 5 * n, dtype=B)
    assert cost("CausalConv1dFnBackward", [[2, 64, 10]], [B]) == Cost(bytes=2 * 3 * n, dtype=B)
    assert find("MambaChunkScanCombinedFnBackward", [[2, 10, 4, 16]], [B]) is None


def test_mamba_block() -> None:
    # d = 64, state 16, rank 4, model of 32
    dims = [[2, 128, 10], [64, 1, 4], [64], [36, 64], [64, 4], [32, 64], [], [64, 16], [], [], [64], [64]]
    types = [B, B, B, B, B, B, "", F, "", "", F, F]
    found = cost("MambaInnerFn", dims, types)
    steps = 2 * 10
    assert found.matrix == 2 * steps * (64 * 4 + 64 * 36 + 4 * 64 + 64 * 32)
    assert found.bytes == 2 * (2560 + 256 + 64 + 36 * 64 + 256 + 2048 + steps * 32) + 4 * (1024 + 128)
    # scan; SiLU, softplus with bias, D, gate
    assert found.vector == steps * 64 * (7 * 16 + 1 + 2 + 4 + 2 + 3)
    old = cost("MambaInnerFn", [shape for shape in dims if shape], [t for t in types if t])
    assert old == found


def ssd_by_steps(x: Any, decay: Any, b: Any, c: Any) -> Any:
    """y_t = c_t · h_t, h_t = decay_t · h_{t−1} + b_t x_tᵀ, of one head."""
    h, rows = np.zeros((b.shape[1], x.shape[1])), []
    for t in range(len(x)):
        h = decay[t] * h + np.outer(b[t], x[t])
        rows.append(c[t] @ h)
    return np.array(rows)


def test_chunked_scan_does_what_is_counted() -> None:
    """The algorithm in chunks gives what the recurrence gives, with the products that the formula counts."""
    length, heads, p, n, chunk = 10, 3, 4, 5, 4
    random = np.random.default_rng(0)
    x = random.normal(size=(heads, length, p))
    decay = random.uniform(0.5, 1, size=(heads, length))
    b, c = random.normal(size=(2, length, n))
    counter = Counter()
    y = np.zeros_like(x)
    h = np.zeros((heads, n, p))
    for start in range(0, length, chunk):
        part = slice(start, min(start + chunk, length))
        scores = counter.product(c[part], b[part].T)  # one group: shared by the heads
        for head in range(heads):
            sums = np.cumsum(np.log(decay[head, part]))
            mask = np.tril(np.exp(sums[:, None] - sums[None, :]))
            within = counter.product(scores * mask, x[head, part])
            before = counter.product(c[part] * np.exp(sums)[:, None], h[head])
            y[head, part] = within + before
            to_end = np.exp(sums[-1] - sums)[:, None]
            state = counter.product((b[part] * to_end).T, x[head, part])
            h[head] = np.exp(sums[-1]) * h[head] + state
    for head in range(heads):
        np.testing.assert_allclose(y[head], ssd_by_steps(x[head], decay[head], b, c))
    pairs, _ = chunk_pairs(length, chunk)
    assert ssd_flops(pairs, 1, length, heads, p, 1, n) == counter.flops
    dims = [[1, length, heads, p], [1, length, heads], [heads], [1, length, 1, n], [1, length, 1, n], []]
    found = cost("MambaChunkScanCombinedFn", dims, [F] * 5 + [S], ["", "", "", "", "", str(chunk)])
    assert found.matrix == counter.flops


def test_pairs_of_positions_in_a_chunk() -> None:
    together = [(i, j) for i in range(11) for j in range(11) if i // 4 == j // 4]
    assert chunk_pairs(11, 4) == (len(together), sum(i >= j for i, j in together))


def test_chunked_scan_of_an_unknown_chunk_size_counts_the_recurrence() -> None:
    dims = [[2, 8, 3, 4], [2, 8, 3], [3], [2, 8, 1, 5], [2, 8, 1, 5], [3], [2, 8, 3, 4]]
    found = cost("MambaChunkScanCombinedFn", dims, [F] * 7)
    count = 2 * 8 * 3 * 4
    assert found.matrix == 0
    # a·h, B·x, their sum, C·h, the sum; Δ·x; exp of each decay; D·x added; gate with its SiLU
    assert found.vector == count * 5 * 5 + count + 48 + 2 * count + 3 * count
    assert found.bytes == 4 * (3 * count + 48 + 3 + 2 * 80 + 3)


def test_mamba2_block() -> None:
    # 4 heads of 16, 1 group, state 8: 80 channels are convolved
    batch, length, heads, p, n, chunk, model = 2, 16, 4, 16, 8, 8, 32
    dim, channels = heads * p, heads * p + 2 * n
    dims: list[Any] = [[batch, length, 2 * dim + 2 * n + heads], [channels, 4], [channels], [heads], [heads]]
    dims += [[heads], [], [], [], [], [], [], [dim], [], [model, dim], [], [], [], []]
    types = [B, B, B, F, F, F, S, "", "", "", S, "", B, S, B, "", S, S, S]
    values = [*[""] * 6, str(chunk), *[""] * 9, str(p), "1", "True"]
    found = cost("MambaSplitConv1dScanCombinedFn", dims, types, values)
    steps = batch * length
    projections = 2 * steps * (channels * 4 + dim * model)
    in_chunks = 2 * batch * 2 * chunk**2 * (n + dim)
    states = 2 * 2 * steps * dim * n
    assert found.matrix == projections + in_chunks + states
    assert found.causal_matrix == projections + in_chunks * 9 // 16 + states
    read = 2 * (steps * (2 * dim + 2 * n + heads) + 5 * channels + dim + model * dim) + 4 * 3 * heads
    assert found.bytes == read + 2 * steps * model
    assert find("MambaSplitConv1dScanCombinedFn", dims[:6], types[:6]) is None  # sizes of heads unknown


@pytest.mark.parametrize(
    ("name", "dims"),
    [
        ("SelectiveScanFn", [[2, 64, 10]]),
        ("MambaInnerFn", [[2, 128, 10], [64, 1, 4], [36, 32], [64, 4], [32, 64], [64, 16]]),
        ("MambaChunkScanCombinedFn", [[2, 8, 3, 4], [2, 8], [3], [2, 8, 1, 5], [2, 8, 1, 5]]),
    ],
)
def test_what_cannot_be_known_has_no_cost(name: str, dims: list[Any]) -> None:
    assert find(name, dims, [F] * len(dims)) is None
