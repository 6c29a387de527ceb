"""Ops of recommendation models, with the calls that real traces hold, against sums on paper."""

# ruff: noqa: E501 (tables of calls, one a line)

from __future__ import annotations

import json
from typing import Any

import pytest

from tracekit.costs import Cost, cost_of

F, H, I, L, S, U = "float", "c10::Half", "int", "long", "Scalar", "unsigned char"  # noqa: E741


def cost(name: str, dims: list[Any], types: list[str], values: list[str] | None = None) -> Cost:
    found = cost_of(name, *(json.dumps(value).encode() for value in (dims, types, values or [])))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "dims", "types", "size", "vector"),
    [
        # a row of 256 floats becomes 256 bytes and two floats, and back
        ("fbgemm::FloatToFP8RowwiseQuantized", [[100, 256], []], [F, S], 100 * (1024 + 264), 3 * 25600),
        ("fbgemm::FP8RowwiseQuantizedToFloat", [[100, 264], []], [U, S], 100 * (264 + 1024), 25600),
        ("fbgemm::FloatToHFP8Quantized", [[1000], [], [], []], [F, S, S, S], 5000, 2000),
        ("fbgemm::HFP8QuantizedToFloat", [[1000], [], []], [U, S, S], 5000, 1000),
        # 300 features of 2048 samples are reordered, with all their indices
        ("fbgemm::permute_sparse_features", [[300], [300, 2048], [16334339], []], [I, I, I, ""], 4 * (300 + 2 * 300 * 2048 + 2 * 16334339), 0),
        # weights go along
        ("fbgemm::permute_sparse_features", [[1], [1, 1024], [65687], [65687]], [I, I, I, F], 4 * (1 + 2 * 1024 + 4 * 65687), 0),
        # of 10 features 3 are taken: with how many indices is data
        ("fbgemm::permute_2D_sparse_data", [[3], [10, 8], [1000], [], []], [I, I, I, "", S], 4 * (3 + 2 * 24), 0),
        ("fbgemm::permute_pooled_embs_auto_grad", [[4, 100], [6], [5], [6], [5]], [F, L, L, L, L], 2 * 1600 + 8 * 22, 0),
        ("torch::autograd::CppNode<fbgemm_gpu::PermutePooledEmbsFunction<&fbgemm_gpu::permute_pooled_embs_gpu> >", [[4, 100]], [F], 3200, 0),
        ("fbgemm::bounds_check_indices", [[9], [1000], [73], [], [1], []], [L, L, L, S, L, ""], 8 * (9 + 1000 + 73), 2000),
        ("fbgemm::asynchronous_complete_cumsum", [[8192]], [I], 4 * (8192 + 8193), 8192),
        ("fb::lengths_range_w_truncation_size", [[262144], [], []], [I, "", S], 4 * 262144, 0),
        ("torch::autograd::CppNode<SplitLookupFunction_rowwise_adagrad_Op>", [[64, 160]], [F], 4 * 64 * 160, 0),
    ],
)  # fmt: skip
def test_sizes(name: str, dims: list[Any], types: list[str], size: int, vector: int) -> None:
    found = cost(name, dims, types)
    assert (found.bytes, found.vector, found.matrix) == (size, vector, 0)


def test_known_number_of_permuted_indices() -> None:
    dims = [[3], [10, 8], [1000], [], []]
    found = cost("fbgemm::permute_2D_sparse_data", dims, [I, I, I, "", S], ["", "", "", "", "420"])
    assert found.bytes == 4 * (3 + 2 * 24 + 2 * 420)


def lookup(tables: int, values: dict[int, str], weighted: bool = False) -> Cost:
    """1000 indices into tables, for 8 samples."""
    dims: list[Any] = [[0], [96000], [0], [0, 0], [tables], [tables], [tables + 1], [], [], [tables + 1], []]
    dims += [[1000], [8 * tables + 1], [], [1000] if weighted else []]
    types = [F, H, H, H, I, L, I, S, S, L, S, L, L, S, F if weighted else ""]
    texts = [values.get(index, "") for index in range(len(dims))]
    return cost("fbgemm::split_embedding_codegen_lookup_rowwise_adagrad_function", dims, types, texts)


INDICES = 1000 * 8


def test_lookup_of_tables_of_one_width() -> None:
    # 1000 rows of 96 as float16, bags of 3 tables · 96 for 8 samples as float32
    found = lookup(3, {7: "288", 8: "96", 13: "0"})
    assert found == Cost(bytes=INDICES + 25 * 8 + 96000 * 2 + 8 * 288 * 4, dtype=H, vector=96000)
    # weighted: one product more for each element, 1000 weights
    found = lookup(1, {7: "96", 8: "96", 13: "1"}, weighted=True)
    assert found == Cost(bytes=INDICES + 9 * 8 + 4000 + 96000 * 2 + 8 * 96 * 4, dtype=H, vector=2 * 96000)


def test_lookup_without_pooling_writes_every_row() -> None:
    found = lookup(1, {7: "96", 8: "96", 13: "2"})
    assert found == Cost(bytes=INDICES + 9 * 8 + 96000 * 2 + 96000 * 4, dtype=H, vector=0)


@pytest.mark.parametrize("values", [{}, {7: "300", 8: "128", 13: "0"}])
def test_lookup_of_unknown_widths_reads_at_least_its_indices(values: dict[int, str]) -> None:
    assert lookup(3, values) == Cost(bytes=INDICES + 25 * 8, dtype=H, partial=True)


def test_jagged() -> None:
    # 50 rows of 16 in 8 sequences, padded to 5 each: no more than 40 rows are read
    dims = [[50, 16], [[9]], [], []]
    types = [F, "TensorList", "ScalarList", S]
    found = cost("fbgemm::jagged_to_padded_dense", dims, types, ["", "", "[5]", "0."])
    assert found.bytes == 4 * 16 * (40 + 40)
    found = cost("fbgemm::jagged_to_padded_dense", dims, types, ["", "", "[10]", "0."])
    assert found.bytes == 4 * 16 * (50 + 80)
    dims = [[50, 16], [[9]], [8, 10, 16]]
    found = cost("fbgemm::jagged_dense_elementwise_add_jagged_output", dims, [F, "TensorList", F])
    assert (found.bytes, found.vector) == (4 * 3 * 800, 800)
