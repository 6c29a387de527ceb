"""Bytes equal those of the tensors of real calls, and FLOPs what torch's formulas give for shapes alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.costs.calls import FP32, known, tensor
from tracekit.costs import cost_of

torch = pytest.importorskip("torch")
functional = torch.nn.functional

S_Q, S_K = 16, 24
QUERY, KEY = (2, 8, S_Q, 32), (2, 8, S_K, 32)


def shaped(*shapes: tuple[int, ...]) -> list[dict[str, Any]]:
    return [tensor(*shape, dtype=FP32) for shape in shapes]


@pytest.mark.parametrize("name", ["flash", "efficient", "cudnn"])
def test_attention_that_needs_a_gpu_equals_the_formulas_of_flop_counter(name: str) -> None:
    from torch.utils.flop_counter import flop_registry

    op = f"_scaled_dot_product_{name}_attention"
    counted = flop_registry[getattr(torch.ops.aten, op)](QUERY, KEY, KEY, out_val=None)
    assert known(f"aten::{op}", *shaped(QUERY, KEY, KEY)).matrix == counted
    formula = flop_registry[getattr(torch.ops.aten, f"{op}_backward")]
    # its shapes alone: the gradient, query, key and value
    counted = formula(QUERY, QUERY, KEY, KEY, out_val=None)
    assert known(f"aten::{op}_backward", *shaped(QUERY, QUERY, KEY, KEY, QUERY)).matrix == counted


def test_packed_attention_equals_the_formula_of_flop_counter() -> None:
    from torch.utils.flop_counter import flop_registry

    q, k = torch.randn(3 * S_Q, 8, 32), torch.randn(3 * S_K, 8, 32)
    bounds_q, bounds_k = torch.arange(4) * S_Q, torch.arange(4) * S_K
    formula = flop_registry[torch.ops.aten._flash_attention_forward]
    counted = formula(q, k, k, bounds_q, bounds_k, S_Q, S_K, out_val=None)
    inputs = shaped(*(tuple(t.shape) for t in (q, k, k, bounds_q, bounds_k)))
    found = known("aten::_flash_attention_forward", *inputs, S_Q, S_K, 0.0, False, False)
    assert found.matrix == counted


def size(*tensors: Any) -> int:
    return sum(t.nbytes for t in tensors if isinstance(t, torch.Tensor))


def profiled(op: str, call: Callable[[], Any], path: Path) -> tuple[int | None, Any]:
    """The bytes of the one op of this name in a real profile of the call, and what the call returned."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True
    ) as profiler:
        result = call()
    profiler.export_chrome_trace(str(path))
    events = json.loads(path.read_text())["traceEvents"]
    (event,) = [event for event in events if event.get("cat") == "cpu_op" and event["name"] == op]
    columns = ("Input Dims", "Input type", "Concrete Inputs")
    cost = cost_of(op, *(json.dumps(event["args"][column]).encode() for column in columns))
    assert cost is not None
    return cost.bytes, result


A, B = torch.randn(4, 6), torch.randn(6, 10)
BATCH_A, BATCH_B = torch.randn(3, 4, 6), torch.randn(3, 6, 10)
FLOAT8, SCALE = torch.ones(16, 16).to(torch.float8_e4m3fn), torch.tensor(1.0)
IMAGE, Q, K = torch.randn(2, 3, 8, 8), torch.randn(QUERY), torch.randn(KEY)

# Calls of tensors that they read whole, and whose results they write.
CALLS: dict[str, tuple[str, Callable[..., Any], tuple[Any, ...]]] = {
    "mm": ("aten::mm", torch.mm, (A, B)),
    "mm in bf16": ("aten::mm", torch.mm, (A.bfloat16(), B.bfloat16())),
    "bias": ("aten::addmm", torch.addmm, (torch.randn(10), A, B)),
    "addend": ("aten::addmm", torch.addmm, (torch.randn(4, 10), A, B)),
    "bmm": ("aten::bmm", torch.bmm, (BATCH_A, BATCH_B)),
    "baddbmm": ("aten::baddbmm", torch.baddbmm, (torch.randn(3, 4, 10), BATCH_A, BATCH_B)),
    "addbmm": ("aten::addbmm", torch.addbmm, (torch.randn(4, 10), BATCH_A, BATCH_B)),
    "linear": ("aten::linear", functional.linear, (BATCH_A, torch.randn(5, 6), torch.randn(5))),
    "matrices times vector": ("aten::matmul", torch.matmul, (BATCH_A, torch.randn(6))),
    "int8": (
        "aten::_int_mm",
        torch._int_mm,
        (torch.ones(32, 16, dtype=torch.int8), torch.ones(16, 8, dtype=torch.int8)),
    ),
    "fp8": ("aten::_scaled_mm", torch._scaled_mm, (FLOAT8, FLOAT8.t(), SCALE, SCALE)),
    "fp8 to bf16": (
        "aten::_scaled_mm",
        partial(torch._scaled_mm, out_dtype=torch.bfloat16),
        (FLOAT8, FLOAT8.t(), SCALE, SCALE),
    ),
    "conv2d": (
        "aten::conv2d",
        partial(functional.conv2d, stride=2),
        (IMAGE, torch.randn(6, 3, 3, 3), torch.randn(6)),
    ),
    "conv3d": (
        "aten::convolution",
        functional.conv3d,
        (torch.randn(1, 2, 6, 6, 6), torch.randn(4, 2, 3, 3, 3), torch.randn(4)),
    ),
    "transposed": (
        "aten::conv_transpose2d",
        partial(functional.conv_transpose2d, stride=2, output_padding=1),
        (IMAGE, torch.randn(3, 4, 3, 3), torch.randn(4)),
    ),
    "time first": (
        "aten::conv_tbc",
        partial(torch.conv_tbc, pad=1),
        (torch.randn(10, 2, 4), torch.randn(3, 4, 5), torch.randn(5)),
    ),
    "attention": (
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu,
        (Q, K, K),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_bytes_equal_those_of_the_tensors(name: str, tmp_path: Path) -> None:
    op, function, tensors = CALLS[name]
    moved, result = profiled(op, lambda: function(*tensors), tmp_path / "t.json")
    assert moved == size(*tensors) + size(*(result if isinstance(result, tuple) else [result]))


def test_addend_that_is_multiplied_by_0_is_not_read(tmp_path: Path) -> None:
    added = torch.randn(4, 10)
    moved, result = profiled("aten::addmm", lambda: torch.addmm(added, A, B, beta=0), tmp_path / "t.json")
    assert moved == size(A, B, result)


@pytest.mark.parametrize("mask", [[True, True, True], [False, True, True], [True, False, False]])
def test_bytes_of_a_backward_convolution(mask: list[bool], tmp_path: Path) -> None:
    weight, grad = torch.randn(6, 3, 3, 3), torch.randn(2, 6, 6, 6)
    rest = [6], [1, 1], [0, 0], [1, 1], False, [0, 0], 1, mask
    moved, gradients = profiled(
        "aten::convolution_backward",
        lambda: torch.ops.aten.convolution_backward(grad, IMAGE, weight, *rest),
        tmp_path / "t.json",
    )
    # the input's gradient needs the weight, the weight's the input
    read = size(grad, *[weight] * mask[0], *[IMAGE] * mask[1])
    assert moved == read + size(*gradients)


def test_bytes_of_a_backward_attention(tmp_path: Path) -> None:
    out, log_sum_exp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(Q, K, K)
    op = "_scaled_dot_product_flash_attention_for_cpu_backward"
    inputs = torch.randn_like(out), Q, K, K, out, log_sum_exp
    moved, gradients = profiled(
        f"aten::{op}", lambda: getattr(torch.ops.aten, op)(*inputs, 0.0, False), tmp_path / "t.json"
    )
    assert moved == size(*inputs) + size(*gradients)
