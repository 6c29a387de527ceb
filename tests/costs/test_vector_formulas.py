"""Vector FLOPs, and bytes that no CPU op shows, of torch's ops against arithmetic on paper."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tracekit.costs import Cost, cost_of

F, H, B, L, I, X = "float", "c10::Half", "c10::BFloat16", "long int", "int", "bool"  # noqa: E741
N, S, SL, TL = "", "Scalar", "ScalarList", "TensorList"


def cost(
    name: str, dims: Any, types: list[str], values: list[str] | None = None, list_bytes: int | None = None
) -> Cost | None:
    concrete = b"" if values is None else json.dumps(values).encode()
    return cost_of(
        f"aten::{name}", json.dumps(dims).encode(), json.dumps(types).encode(), concrete, list_bytes
    )


A = [4, 6]  # 24 elements


@pytest.mark.parametrize(
    ("name", "dims", "types", "values", "vector"),
    [
        # elementwise: FLOPs per element of the result, 24
        ("add", [A, A, []], [F, F, S], ["", "", "1"], 24),
        ("add", [A, A, []], [F, F, S], ["", "", "-0.5"], 48),
        ("add_", [A, [6], []], [F, F, S], None, 24),
        ("mul", [[4, 1], [1, 6]], [F, F], None, 24),
        ("div", [A, [], []], [F, F, N], ["", "", ""], 48),  # and rounded
        ("lt", [A, []], [F, S], ["", "3"], 24),
        ("clamp", [A, [], []], [F, S, S], ["", "0", "1"], 48),
        ("clamp", [A, [], []], [F, S, N], ["", "0", ""], 24),
        ("relu", [A], [B], [""], 24),
        ("silu", [A], [B], [""], 48),
        ("gelu", [A, []], [B, N], ["", ""], 24 * 5),
        ("gelu_backward", [A, A, []], [B, B, N], ["", "", ""], 24 * 11),
        ("sigmoid_backward", [A, A], [F, F], ["", ""], 24 * 3),
        ("glu", [A, []], [F, S], ["", "1"], 12 * 2),
        ("addcmul", [A, A, A, []], [F, F, F, S], None, 48),
        ("where", [A, A, A], [X, F, F], None, 0),
        ("copy_", [A, A, []], [B, F, S], None, 0),
        ("fill_", [A, []], [F, S], None, 0),
        ("native_dropout", [A, [], []], [F, S, S], None, 72),
        # reductions: per element of the input
        ("sum", [A, [], [], []], [F, SL, S, N], ["", "[1]", "False", ""], 24),
        ("mean", [A, []], [F, N], ["", ""], 24),
        ("var", [A, [], [], []], [F, SL, S, S], ["", "[1]", "1", "False"], 24 * 4),
        ("linalg_vector_norm", [A, [], [], [], []], [F, S, N, S, N], ["", "2", "", "False", ""], 48),
        ("aminmax", [A, [], []], [F, N, S], None, 48),
        ("argmax", [A, [], []], [F, S, S], None, 24),
        ("_softmax", [A, [], []], [F, S, S], ["", "1", "False"], 24 * 5),
        ("_log_softmax_backward_data", [A, A, [], []], [F, F, S, S], ["", "", "1", "6"], 24 * 4),
        # 4 rows of 8: 8 · log₂ 8 comparisons each
        ("sort", [[4, 8], [], []], [F, S, S], ["", "1", "False"], 4 * 8 * 3),
        # halving 6 boundaries takes 3 comparisons
        ("bucketize", [A, [6], [], []], [F, F, S, S], ["", "", "False", "False"], 24 * 3),
        ("dot", [[9], [9]], [F, F], None, 18),
        ("trace", [A], [F], None, 4),
        # losses
        ("mse_loss", [A, A, []], [F, F, S], ["", "", "1"], 24 * 3),
        ("mse_loss", [A, A, []], [F, F, S], ["", "", "0"], 24 * 2),
        ("nll_loss_forward", [A, [4], [], [], []], [F, L, N, S, S], None, 8),
        # normalisations: 5, and weight and bias 1 each
        ("native_layer_norm", [A, [], [6], [6], []], [B, SL, B, B, S], None, 24 * 7),
        ("native_layer_norm", [A, [], [], [], []], [B, SL, N, N, S], None, 24 * 5),
        ("_fused_rms_norm", [A, [], [6], []], [B, SL, B, N], ["", "[6]", "", ""], 24 * 4),
        ("native_batch_norm", [[2, 3, 4], [3], [3], [3], [3], [], [], []], [F] * 5 + [S] * 3,
         ["", "", "", "", "", "True", "0.1", "1e-05"], 24 * 7),
        ("native_batch_norm", [[2, 3, 4], [3], [3], [3], [3], [], [], []], [F] * 5 + [S] * 3,
         ["", "", "", "", "", "False", "0.1", "1e-05"], 24 * 4),
        # x̂ 2, dx 7 and the weight 1, dw 2, db 1; only dx; without a weight
        ("native_layer_norm_backward", [A, A, [], [4, 1], [4, 1], [6], [6], []], [F, F, SL, F, F, F, F, SL],
         ["", "", "[6]", "", "", "", "", "[True, True, True]"], 24 * 13),
        ("native_layer_norm_backward", [A, A, [], [4, 1], [4, 1], [6], [6], []], [F, F, SL, F, F, F, F, SL],
         ["", "", "[6]", "", "", "", "", "[True, False, False]"], 24 * 10),
        ("native_layer_norm_backward", [A, A, [], [4, 1], [4, 1], [], [], []], [F, F, SL, F, F, N, N, SL],
         ["", "", "[6]", "", "", "", "", "[True, False, False]"], 24 * 9),
        # pooling: 4 × 4 → 2 × 2 windows of 4, of 3 channels
        ("max_pool2d_with_indices", [[1, 3, 4, 4], [], [], [], [], []], [F] + [SL] * 4 + [S],
         ["", "[2, 2]", "[]", "[0, 0]", "[1, 1]", "False"], 3 * 4 * 4),
        ("upsample_bilinear2d", [[1, 3, 4, 4], [], [], [], []], [F, SL, S, S, S],
         ["", "[8, 8]", "False", "", ""], 3 * 64 * 7),
        # movement
        ("cat", [[A, A], []], [TL, S], None, 0),
        ("embedding_dense_backward", [[5, 8], [5], [], [], []], [F, L, S, S, S],
         ["", "", "100", "-1", "False"], 40),
        ("scatter_add_", [[50], [], [9], [9]], [F, S, L, F], ["", "0", "", ""], 9),
        # 4 transforms of 8: 5 · 8 · log₂ 8 each, of reals half
        ("_fft_c2c", [[4, 8], [], [], []], ["c10::complex<float>", SL, S, S], ["", "[1]", "0", "True"], 480),
        ("_fft_r2c", [[4, 8], [], [], []], [F, SL, S, S], ["", "[1]", "0", "True"], 240),
        # products with vectors
        ("mv", [A, [6]], [F, F], None, 48),
        ("addmv", [[4], A, [6], [], []], [F, F, F, S, S], ["", "", "", "1", "1"], 48 + 4),
        ("addmv_", [[4], A, [6], [], []], [F, F, F, S, S], ["", "", "", "0", "1"], 48),
        ("ger", [[4], [6]], [F, F], None, 24),
        # 2 · 3 units: 4 gates, each added and activated, 3 + 2 for c and h; with two biases 8 more
        ("_thnn_fused_lstm_cell", [[2, 12], [2, 12], [2, 3], [], []], [F, F, F, N, N], None, 6 * 13),
        ("_thnn_fused_lstm_cell", [[2, 12], [2, 12], [2, 3], [12], [12]], [F] * 5, None, 6 * 21),
    ],
)  # fmt: skip
def test_vector_flops(name: str, dims: Any, types: list[str], values: list[str] | None, vector: int) -> None:
    found = cost(name, dims, types, values)
    assert found is not None
    assert (found.vector, found.matrix) == (vector, 0)


@pytest.mark.parametrize(
    ("name", "dims", "types", "values", "expected"),
    [
        # results in half types have statistics in float on a GPU: 4 rows, mean and 1/σ
        ("native_layer_norm", [A, [], [6], [6], []], [B, SL, B, B, S], ["", "[6]", "", "", "1e-05"],
         2 * (24 + 6 + 6 + 24) + 4 * 8),
        ("_fused_rms_norm", [A, [], [6], []], [B, SL, B, N], ["", "[6]", "", ""], 2 * (24 + 6 + 24) + 4 * 4),
        ("cudnn_batch_norm", [[2, 3, 4], [3], [3], [3], [3], [], [], []], [H, F, F, F, F, S, S, S],
         ["", "", "", "", "", "True", "0.1", "1e-05"], 2 * 48 + 4 * (6 + 6 + 6 + 6)),
        ("miopen_batch_norm_backward", [[2, 3, 4], [2, 3, 4], [3], [], [], [3], [3], []],
         [F, F, F, N, N, F, F, S], None, 4 * (24 + 24 + 9 + 24 + 6)),
        ("_fused_rms_norm_backward", [A, A, [], [4, 1], [6], []], [F, F, SL, F, F, SL],
         ["", "", "[6]", "", "", "[True, True]"], 4 * (24 + 24 + 4 + 6 + 24 + 6)),
        # without values: the mask of a layer norm counts as all set
        ("native_layer_norm_backward", [A, A, [], [4, 1], [4, 1], [6], [6], []], [F, F, N, F, F, F, F, N],
         None, 4 * (24 + 24 + 4 + 4 + 6 + 24 + 6 + 6)),
        # types as old traces spell them; dims unknown: one element is written
        ("sum", [A, [], [], []], ["int", N, S, N], None, 4 * 24 + 8),
        ("mul", [A, A], ["long", "bool"], None, 24 * (8 + 1 + 8)),
        ("max_pool2d_with_indices", [[1, 3, 4, 4], [], [], [], [], []], [F, N, N, N, N, S], None, 4 * 48),
        # calls from TorchScript with what lay below on the stack
        ("cumsum", [[], [300], [], []], [N, L, S, N], None, 2 * 8 * 300),
        # rows of an embedding, 8 of 30,522
        ("index_select", [[30522, 16], [], [8]], [B, S, L], ["", "0", ""], 2 * 2 * 8 * 16 + 8 * 8),
        ("gather", [[50], [], [9], []], [F, S, L, S], None, 2 * 4 * 9 + 8 * 9),
        ("_embedding_bag", [[100, 8], [20], [5], [], [], [], [], [], []], [F, L, L, S, S, S, N, S, S],
         ["", "", "", "False", "0", "False", "", "False", "-1"], 4 * 20 * 8 + 8 * 25 + 4 * 5 * 8),
        # 2 · 3 units: gates of 4, cx, biases; hy, cy, gates
        ("_thnn_fused_lstm_cell", [[2, 12], [2, 12], [2, 3], [12], [12]], [F] * 5, None,
         4 * (24 + 24 + 6 + 24 + 6 + 6 + 24)),
        ("miopen_batch_norm", [[2, 3, 4], [3], [3], [], [], [], [], []], [F, F, F, N, N, S, S, S],
         ["", "", "", "", "", "True", "0.1", "1e-05"], 4 * (24 + 6 + 24 + 6)),
        ("quantize_per_tensor", [A, [], [], []], [F, S, S, S], ["", "0.1", "0", "13"], 24 * 5),
        ("arange", [[], [], [], [0]], [S, S, S, L], ["223", "238", "1", ""], 15 * 8),
        ("_index_put_impl_", [[6, 8], [], [5], [], []], [F, N, F, S, S], None, 4 * 5 * 2),
    ],
)  # fmt: skip
def test_bytes(name: str, dims: Any, types: list[str], values: list[str] | None, expected: int) -> None:
    found = cost(name, dims, types, values)
    assert found is not None
    assert found.bytes == expected


LISTS = [[[2, 3], [4]], [[2, 3], [4]], [[2, 3], [4]], [[2, 3], [4]], [], [[], []]]  # 10 parameters


@pytest.mark.parametrize(
    ("name", "dims", "types", "values", "vector", "elements"),
    [
        ("_foreach_add_", [*LISTS[:2], []], [TL, TL, S], ["", "", "1"], 10, 30),
        ("_foreach_add_", [*LISTS[:2], []], [TL, TL, S], ["", "", "-0.001"], 20, 30),
        ("_foreach_mul_", [LISTS[0], []], [TL, S], ["", "0.9"], 10, 20),
        ("_foreach_sqrt", [LISTS[0]], [TL], [""], 10, 20),
        ("_foreach_addcdiv_", [*LISTS[:3], []], [TL, TL, TL, SL], None, 30, 40),
        ("_foreach_copy_", [*LISTS[:2], []], [TL, TL, S], None, 0, 20),
        ("_foreach_zero_", [LISTS[0]], [TL], None, 0, 10),
        ("_foreach_norm", [LISTS[0], [], []], [TL, S, N], None, 20, 12),
        # parameters and two moments read and written, gradients read
        ("_fused_adamw_", LISTS, [TL] * 6, None, 140, 70),
        ("_fused_sgd_", [LISTS[0], LISTS[0], []], [TL] * 3, None, 20, 30),
        ("_fused_sgd_", [LISTS[0]] * 3, [TL] * 3, None, 40, 50),
        ("_amp_foreach_non_finite_check_and_unscale_", [LISTS[0], [1], []], [TL, F, F], None, 20, 20),
        ("cat", [LISTS[0], []], [TL, S], None, 0, 20),
    ],
)
def test_lists(
    name: str, dims: Any, types: list[str], values: list[str] | None, vector: int, elements: int
) -> None:
    known, unknown = (cost(name, dims, types, values, size) for size in (2, None))
    assert known is not None
    assert unknown is not None
    assert (known.vector, known.bytes) == (vector, 2 * elements)
    assert (unknown.vector, unknown.bytes) == (vector, None)


@pytest.mark.parametrize(
    ("name", "dims", "types", "values"),
    [
        # 2 layers, 3 steps of 2, 5 features, 4 units: 16 × 5, 16 × 4, then twice 16 × 4
        ("_cudnn_rnn", [[3, 2, 5], [[16, 5], [16, 4], [16], [16], [16, 4], [16, 4], [16], [16]], [], [400],
         [2, 2, 4], [2, 2, 4]], [F, TL, S, F, F, F], None),
        ("lstm", [[3, 2, 5], [[2, 2, 4], [2, 2, 4]],
         [[16, 5], [16, 4], [16], [16], [16, 4], [16, 4], [16], [16]], []], [F, TL, TL, S], None),
        # packed: 6 rows in all
        ("lstm", [[6, 5], [3], [[2, 2, 4], [2, 2, 4]],
         [[16, 5], [16, 4], [16], [16], [16, 4], [16, 4], [16], [16]], []], [F, L, TL, TL, S], None),
    ],
)  # fmt: skip
def test_recurrent_layers(name: str, dims: Any, types: list[str], values: list[str] | None) -> None:
    found = cost(name, dims, types, values)
    assert found is not None
    assert found.matrix == 2 * 6 * 16 * (5 + 4 + 4 + 4)


def test_bytes_of_recurrent_layer() -> None:
    found = cost(
        "_cudnn_rnn", [[3, 2, 5], [[16, 5], [16, 4]], [], [400], [1, 2, 4], [1, 2, 4]], [F, TL, S, F, F, F]
    )
    # input, weights, h and c; output, h and c
    assert found is not None
    assert found.bytes == 4 * (30 + 400 + 16 + 24 + 16)


@pytest.mark.parametrize(
    ("name", "dims", "types", "values"),
    [
        ("add", [A, [5], []], [F, F, S], None),  # does not broadcast
        ("mul", [[], []], [S, S], None),
        ("_foreach_add_", [[], [], []], [TL, TL, S], None),  # more tensors than were recorded
        ("_foreach_what_", [LISTS[0]], [TL], None),
        ("_softmax", [[], []], [N, S], None),
        ("arange", [[], [], [], [0]], [S, S, S, L], None),
        ("arange", [[], [], []], [S, S, N], ["5", "", ""]),  # the outer call
        ("arange", [[], [], [], [0]], [S, S, S, L], ["0", "5", "0", ""]),
        ("where", [A], [X], None),
        ("native_layer_norm", [[], [], []], [N, SL, N], None),
        ("index_select", [[3, 4], [], [8]], [B, S, L], None),  # of which dimension
        ("index_select", [[3, 4], [], [8]], [B, S, L], ["", "7", ""]),
        ("mv", [A, [5]], [F, F], None),
        ("sum", {"a": 1}, [F], None),
        ("sort", [A, [], []], [F, S, S], ["", "nan", ""]),
    ],
)
def test_what_cannot_be_known_has_no_cost_and_raises_nothing(
    name: str, dims: Any, types: list[str], values: list[str] | None
) -> None:
    assert cost(name, dims, types, values) is None


def test_amounts_that_a_trace_lacks_are_unknown() -> None:
    """The indices of `x[i]`, and lists of more than 30 tensors."""
    for found in (cost("index", [A, []], [F, N]), cost("cat", [[], []], [TL, S])):
        assert found is not None
        assert (found.vector, found.bytes) == (0, None)
    unknown_type = cost("add", [A, A], ["c10::Float3", F])
    assert unknown_type is not None
    assert (unknown_type.vector, unknown_type.bytes) == (24, None)
