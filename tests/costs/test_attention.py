"""Attention against arithmetic on paper: FLOPs, masks, bytes; and what unrecorded lengths leave of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.costs.calls import FP32, INT32, cost, known, tensor, tensors
from tracekit.costs import Mask, is_partial, is_wrapper

# 2 sequences, 8 query heads over 2 key heads, 16 queries, 24 keys, 32 per head
Q, K = tensor(2, 8, 16, 32), tensor(2, 2, 24, 32)
MATRIX = 4 * 2 * 8 * 16 * 24 * 32
SCORES = 2 * 8 * 16 * 24
Q_SIZE, K_SIZE, LSE = 2 * 8 * 16 * 32, 2 * 2 * 24 * 32, 2 * 8 * 16
# 16 queries of 24 keys: 1 + … + 16 are seen from the top left, 8 more each from the bottom right
TOP_LEFT = sum(range(1, 17))
BOTTOM_RIGHT = TOP_LEFT + 16 * 8


@pytest.mark.parametrize("keys", [1, 5, 8, 13])
@pytest.mark.parametrize("queries", [1, 5, 8])
@pytest.mark.parametrize("left", [None, 0, 2, 20])
@pytest.mark.parametrize("right", [None, 0, 3])
@pytest.mark.parametrize("bottom_right", [False, True])
def test_mask(queries: int, keys: int, left: int | None, right: int | None, bottom_right: bool) -> None:
    shift = keys - queries if bottom_right else 0
    seen = sum(
        (left is None or key >= query + shift - left) and (right is None or key <= query + shift + right)
        for query in range(queries)
        for key in range(keys)
    )
    assert Mask(left, right, bottom_right).visible(queries, keys) == seen


@pytest.mark.parametrize(
    ("op", "options", "moved"),
    [
        ("aten::_scaled_dot_product_flash_attention", [0.0, False, False, None], 4 * LSE),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", [0.0, False, None, None], 4 * LSE),
        ("aten::_scaled_dot_product_efficient_attention", [None, True, 0.0, False, None], 4 * LSE),
        ("aten::_scaled_dot_product_efficient_attention", [None, False, 0.0, False, None], 0),
        (
            "aten::_scaled_dot_product_efficient_attention",
            [tensor(2, 8, 16, 24), False, 0.0, False, None],
            2 * SCORES,
        ),
        ("aten::_scaled_dot_product_cudnn_attention", [None, True, 0.0, False, False, None], 4 * LSE),
        ("aten::_scaled_dot_product_fused_attention_overrideable", [None, 0.0, False, False], 4 * LSE),
        ("aten::scaled_dot_product_attention", [None, 0.0, False, None, True], 0),
        (
            "aten::scaled_dot_product_attention",
            [tensor(16, 24, dtype="bool"), 0.0, False, None, True],
            16 * 24,
        ),
    ],
)
def test_forward(op: str, options: list[Any], moved: int) -> None:
    found = known(op, Q, K, K, *options)
    assert found.matrix == MATRIX
    assert found.causal_matrix is None
    assert found.bytes == 2 * (2 * Q_SIZE + 2 * K_SIZE) + moved
    assert found.vector == 5 * SCORES


CAUSAL_FORWARDS = [
    ("aten::_scaled_dot_product_flash_attention", [0.0, True, False, None]),
    ("aten::_scaled_dot_product_flash_attention_for_cpu", [0.0, True, None, None]),
    ("aten::_scaled_dot_product_efficient_attention", [None, True, 0.0, True, None]),
    ("aten::_scaled_dot_product_cudnn_attention", [None, True, 0.0, True, False, None]),
    ("aten::_scaled_dot_product_fused_attention_overrideable", [None, 0.0, True, False]),
    ("aten::scaled_dot_product_attention", [None, 0.0, True, None, True]),
    # the quantized overload has three scales before the dropout
    ("aten::_scaled_dot_product_flash_attention", [*[tensor(1, dtype=FP32)] * 3, 0.0, True, False, None]),
]


@pytest.mark.parametrize(("op", "options"), CAUSAL_FORWARDS)
def test_causal_mask_of_torch_is_aligned_to_the_top_left(op: str, options: list[Any]) -> None:
    found = known(op, Q, K, K, *options)
    assert found.matrix == MATRIX
    assert found.causal_matrix == 4 * 2 * 8 * TOP_LEFT * 32
    assert found.vector == 5 * 2 * 8 * TOP_LEFT


def test_causal_square_is_half_and_half_the_diagonal() -> None:
    q = tensor(1, 1, 100, 64)
    found = known("aten::scaled_dot_product_attention", q, q, q, None, 0.0, True, None, False)
    assert found.causal_matrix == 4 * 64 * (100 * 101 // 2)


LOG_SUM_EXP = tensor(2, 8, 16, dtype=FP32)
BACKWARDS = [
    ("aten::_scaled_dot_product_flash_attention_backward", [Q, LOG_SUM_EXP, None, None, 16, 24, 0.0, True]),
    ("aten::_scaled_dot_product_flash_attention_for_cpu_backward", [Q, LOG_SUM_EXP, 0.0, True]),
    (
        "aten::_scaled_dot_product_efficient_attention_backward",
        [
            None,
            Q,
            LOG_SUM_EXP,
            tensor(dtype=INT32),
            tensor(dtype=INT32),
            0.0,
            [True, True, True, False],
            True,
        ],
    ),
    (
        "aten::_scaled_dot_product_cudnn_attention_backward",
        [Q, LOG_SUM_EXP, None, None, None, None, None, 16, 24, 0.0, True],
    ),
    (
        "aten::_scaled_dot_product_fused_attention_overrideable_backward",
        [None, [True, True, True, False], Q, LOG_SUM_EXP, None, None, 16, 24, 0.0, True, None, None],
    ),
]


@pytest.mark.parametrize(("op", "rest"), BACKWARDS)
def test_backward(op: str, rest: list[Any]) -> None:
    found = known(op, Q, Q, K, K, *rest)
    # scores again, then the gradients of values, weights, queries and keys: five products
    assert found.matrix == MATRIX // 2 * 5
    assert found.causal_matrix == 5 * 2 * 2 * 8 * TOP_LEFT * 32
    # gradient, q, k, v, output, log-sum-exp read; gradients of q, k, v written
    assert found.bytes == 2 * (3 * Q_SIZE + 2 * K_SIZE) + 4 * LSE + 2 * (Q_SIZE + 2 * K_SIZE)
    assert found.vector == 4 * 2 * 8 * TOP_LEFT + 2 * Q_SIZE


def test_backward_of_a_bias_writes_its_gradient() -> None:
    bias = tensor(2, 8, 16, 24)
    op = "aten::_scaled_dot_product_efficient_attention_backward"
    rest = [bias, Q, LOG_SUM_EXP, None, None, 0.0]
    without = known(op, Q, Q, K, K, *rest, [True, True, True, False], False)
    found = known(op, Q, Q, K, K, *rest, [True, True, True, True], False)
    assert found.bytes is not None
    assert without.bytes is not None
    assert found.bytes - without.bytes == 2 * SCORES


# The same sizes, sequence first.
QS, KS = tensor(2, 16, 8, 32), tensor(2, 24, 2, 32)
# 3 packed sequences of 16 queries and 24 keys
QP, KP, BOUNDS = tensor(48, 8, 32), tensor(72, 2, 32), tensor(4, dtype=INT32)
DENSE_BYTES = 2 * (2 * Q_SIZE + 2 * K_SIZE) + 4 * LSE
PACKED_BYTES = DENSE_BYTES // 2 * 3


@pytest.mark.parametrize(
    ("op", "arguments", "moved"),
    [
        (
            "aten::_flash_attention_forward",
            [QS, KS, KS, None, None, 16, 24, 0.0, True, False, 0.1, None, None, None, None],
            0,
        ),
        ("flash_attn::_flash_attn_forward", [QS, KS, KS, 0.0, 0.1, True, -1, -1, 0.0, None, False], 0),
        ("aiter::mha_fwd", [QS, KS, KS, 0.0, 0.1, True, -1, -1, False, False, None], -4 * LSE),
        ("aiter::mha_fwd", [QS, KS, KS, 0.0, 0.1, True, -1, -1, True, False, None], 0),
        # flash-attn 2, then 3: as autograd functions, whose window is a tuple
        ("FlashAttnFunc", [QS, KS, KS, 0.0, None, True, "(-1, -1)", 0.0, None, False, False], 0),
        ("FlashAttnFunc", [QS, KS, KS, None, True, None, None, None, None, "(-1, -1)"], 0),
        ("FlashAttnKVPackedFunc", [QS, tensor(2, 24, 2, 2, 32), 0.0, None, True, "(-1, -1)"], 0),
        ("flash_attn_3::fwd", [QS, KS, KS, *[None] * 20, 0.1, True, -1, -1, 0, 0.0, False], 0),
        (
            "xformers::efficient_attention_forward_cutlass",
            [QS, KS, KS, None, None, None, None, None, 0.0, 2, True, 0.1, None, None],
            0,
        ),
    ],
)
def test_causal_mask_of_libraries_is_aligned_to_the_bottom_right(
    op: str, arguments: list[Any], moved: int
) -> None:
    found = known(op, *arguments)
    assert found.matrix == MATRIX
    assert found.causal_matrix == 4 * 2 * 8 * BOTTOM_RIGHT * 32
    assert found.bytes == DENSE_BYTES + moved
    assert found.vector == 5 * 2 * 8 * BOTTOM_RIGHT
    assert not is_partial(op, found)


def test_sliding_window() -> None:
    # each of 24 queries sees itself and 3 keys before, the first ones 1, 2 and 3
    seen = 1 + 2 + 3 + 21 * 4
    q = tensor(1, 24, 1, 32)
    found = known("flash_attn::_flash_attn_forward", q, q, q, 0.0, 0.1, True, 3, 0, 0.0, None, False)
    assert found.causal_matrix == 4 * seen * 32
    assert found.matrix == 4 * 24 * 24 * 32
    # torch's memory-efficient kernel counts the query's own key into the window
    options = [None, None, None, None, None, 0.0, 1, False, 0.1, None, 4]
    found = known("aten::_efficient_attention_forward", q, q, q, *options)
    assert found.causal_matrix == 4 * seen * 32


def test_packed_query_key_and_value() -> None:
    found = known("FlashAttnQKVPackedFunc", tensor(2, 16, 3, 8, 32), 0.0, None, False, "(-1, -1)", 0.0)
    assert found.matrix == 4 * 2 * 8 * 16 * 16 * 32
    assert found.causal_matrix is None
    assert found.bytes == 2 * 4 * Q_SIZE + 4 * LSE


def test_query_of_latents_adds_to_the_scores() -> None:
    # scores of 64 + 512, values of 512
    q, k, v = tensor(1, 2, 4, 64), tensor(1, 8, 1, 64), tensor(1, 8, 1, 512)
    rest = [None, None, tensor(1, 2, 4, 512), *[None] * 17, 0.1, False, -1, -1]
    found = known("flash_attn_3::fwd", q, k, v, *rest)
    assert found.matrix == 2 * 4 * 2 * 8 * (64 + 512 + 512)


PACKED_CALLS: list[tuple[str, Any]] = [
    (
        "flash_attn::_flash_attn_varlen_forward",
        lambda q, k, cu, m, n: [q, k, k, cu, cu, m, n, 0.0, 0.1, True, -1, -1, 0.0, None, False],
    ),
    (
        "_vllm_fa2_C::varlen_fwd",
        lambda q, k, cu, m, n: [q, k, k, None, cu, cu, *[None] * 4, m, n, 0.0, 0.1, False, True, -1, -1, 0.0],
    ),
    (
        "_vllm_fa3_C::fwd",
        lambda q, k, cu, m, n: (
            [q, k, k, *[None] * 4, cu, cu, *[None] * 3, m, n, *[None] * 9, 0.1, True, -1, -1, 0.0]
        ),
    ),
    (
        "aiter::mha_varlen_fwd",
        lambda q, k, cu, m, n: (
            [q, k, k, cu, cu, m, n, 0, 0.0, 0.1, 0.0, False, True, -1, -1, True, False, None]
        ),
    ),
    (
        "xformers_flash::flash_fwd",
        lambda q, k, cu, m, n: [q, k, k, cu, cu, None, m, n, 0.0, 0.1, True, -1, -1, False, None],
    ),
    (
        "FlashAttnVarlenFunc",
        lambda q, k, cu, m, n: [q, k, k, cu, cu, m, n, 0.0, None, True, "(-1, -1)", 0.0, None, False],
    ),
    (
        "aten::_flash_attention_forward",
        lambda q, k, cu, m, n: [q, k, k, cu, cu, m, n, 0.0, True, False, 0.1, None, None, None, None],
    ),
]


@pytest.mark.parametrize(("op", "arguments"), PACKED_CALLS)
def test_packed_sequences_that_the_longest_length_proves_equal(op: str, arguments: Any) -> None:
    found = known(op, *arguments(QP, KP, BOUNDS, 16, 24))
    assert found.matrix == MATRIX // 2 * 3
    assert found.causal_matrix == 4 * 3 * 8 * BOTTOM_RIGHT * 32
    assert found.bytes == PACKED_BYTES + 2 * 4 * 4  # the bounds
    assert not is_partial(op, found)


@pytest.mark.parametrize(("op", "arguments"), PACKED_CALLS)
def test_one_packed_sequence(op: str, arguments: Any) -> None:
    found = known(op, *arguments(QP, KP, tensor(2, dtype=INT32), 100, 100))
    assert found.matrix == 4 * 8 * 48 * 72 * 32


@pytest.mark.parametrize(("op", "arguments"), PACKED_CALLS)
def test_packed_sequences_of_lengths_that_are_not_recorded(op: str, arguments: Any) -> None:
    found = known(op, *arguments(QP, KP, BOUNDS, 20, 24))
    assert is_partial(op, found)
    assert (found.matrix, found.causal_matrix, found.vector) == (0, None, 0)
    assert found.bytes == PACKED_BYTES + 2 * 4 * 4


def test_keys_in_pages() -> None:
    # 48 tokens of new queries, and of keys and values those of the same tokens at least
    pages = tensor(1000, 16, 2, 32)
    table = tensor(3, 10, dtype=INT32)
    expected = 2 * (2 * 48 * 8 * 32 + 2 * 48 * 2 * 32) + 4 * 48 * 8
    rest = [BOUNDS, BOUNDS, 20, 24, 0.0, 0.1, True, -1, -1, 0.0, None, False, table, None, None]
    found = known("flash_attn::_flash_attn_varlen_forward", QP, pages, pages, *rest)
    assert (found.matrix, found.bytes) == (0, expected)
    rest = [*[None] * 4, BOUNDS, *[None] * 3, tensor(3, dtype=INT32), 20, None, table, *[None] * 8, 0.1, True]
    found = known("sgl_kernel::fwd", QP, pages, pages, *rest, -1, -1, 0.0)
    assert (found.matrix, found.bytes) == (0, expected)
    assert is_partial("sgl_kernel::fwd", found)


def test_prefill_of_aiter_as_recorded() -> None:
    pages = tensor(1000, 2, 32)
    rest = [BOUNDS, BOUNDS, tensor(80, dtype=INT32), 20, 24, 0.0, 0.1, 0.0, False, True, -1, -1, 0, False]
    found = known("aiter::mha_batch_prefill", QP, pages, pages, *rest)
    assert is_partial("aiter::mha_batch_prefill", found)
    assert found.bytes == 2 * (2 * 48 * 8 * 32 + 2 * 48 * 2 * 32)


def test_autograd_functions_count_only_where_nothing_in_them_does() -> None:
    assert is_wrapper("FlashAttnFunc")
    assert not is_wrapper("flash_attn::_flash_attn_forward")


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        ("flash_attn::_flash_attn_backward", [QS, QS, KS, KS, QS, LOG_SUM_EXP, QS, KS, KS, 0.0, 0.1, True]),
        ("aiter::mha_bwd", [QS, QS, KS, KS, QS, LOG_SUM_EXP, 0.0, 0.1, True]),
        ("flash_attn_3::_flash_attn_backward", [QS, QS, KS, KS, QS, LOG_SUM_EXP, *[None] * 9, 0.1, True]),
        ("flash_attn_3::bwd", [QS, QS, KS, KS, QS, LOG_SUM_EXP, QS, KS, KS, *[None] * 6, 0.1, True]),
    ],
)
def test_backward_of_libraries(op: str, arguments: list[Any]) -> None:
    found = known(op, *arguments, -1, -1, 0.0, None, False)
    assert found.matrix == MATRIX // 2 * 5
    assert found.causal_matrix == 5 * 2 * 2 * 8 * BOTTOM_RIGHT * 32
    assert found.bytes == 2 * (3 * Q_SIZE + 2 * K_SIZE) + 4 * LSE + 2 * (Q_SIZE + 2 * K_SIZE)


def test_output_of_fp8_has_sixteen_bits() -> None:
    q = tensor(1, 16, 2, 32, dtype="c10::Float8_e4m3fn")
    found = known("flash_attn_3::fwd", q, q, q, *[None] * 20, 0.1, False, -1, -1)
    assert found.bytes == 3 * 1024 + 2 * 1024 + 4 * 32


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        ("aten::scaled_dot_product_attention", [Q, K]),
        ("aten::scaled_dot_product_attention", [Q, tensor(2, 2, 24, 16), K]),
        ("aten::scaled_dot_product_attention", [tensors((2, 8, 16, 32)), K, K]),
        ("flash_attn::_flash_attn_forward", [QP, KP, KP]),
        # bounds of different numbers of sequences
        (
            "flash_attn::_flash_attn_varlen_forward",
            [QP, KP, KP, BOUNDS, tensor(3, dtype=INT32), 16, 24],
        ),
        # neither FLOPs nor bytes
        (
            "flash_attn::_flash_attn_varlen_forward",
            [tensor(48, 8, 32, dtype="?"), KP, KP, BOUNDS, BOUNDS, 9, 9],
        ),
        ("aten::_efficient_attention_forward", [QS, KS]),
    ],
)
def test_what_does_not_fit_has_no_cost(op: str, arguments: list[Any]) -> None:
    assert cost(op, *arguments) is None
