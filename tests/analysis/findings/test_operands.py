"""What a kernel reads and writes, from how its op was called."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tracekit.analysis.findings.operands import operands_of
from tracekit.trace import Signature

B, F = "c10::BFloat16", "float"


def signature(name: str, dims: Any, types: Any, values: Any = ()) -> Signature:
    return Signature(name, *(json.dumps(one).encode() for one in (dims, types, values)))


@pytest.mark.parametrize(
    ("call", "shape", "dtype"),
    [
        (signature("aten::add_", [[2, 3], [3], []], [B, F, "Scalar"]), (2, 3), F),
        (signature("aten::mul", [[2, 1], [4]], [B, B]), (2, 4), B),
        (signature("aten::mul", [[2, 3], []], [B, F]), (2, 3), B),  # a number in a tensor
        (signature("aten::gt", [[2, 3], []], [F, "Scalar"]), (2, 3), "bool"),
        (signature("aten::copy_", [[2, 3], [2, 3], []], [F, B, "Scalar"]), (2, 3), F),
        (
            signature("aten::mean", [[2, 3], [], []], [F, "ScalarList", "Scalar"], ["", "[-1]", "True"]),
            (2, 1),
            F,
        ),
        (
            signature("aten::sum", [[2, 3], [], []], [F, "ScalarList", "Scalar"], ["", "[0]", "False"]),
            (3,),
            F,
        ),
        (signature("aten::cat", [[[2, 3], [2, 5]], []], ["TensorList", "Scalar"], ["", "-1"]), (2, 8), None),
        (signature("aten::_softmax", [[2, 3], [], []], [B, "Scalar", "Scalar"]), (2, 3), B),
    ],
)
def test_outputs(call: Signature, shape: tuple[int, ...], dtype: str | None) -> None:
    operands = operands_of(call)
    assert operands is not None
    assert operands.writes is not None
    assert (operands.writes.shape, operands.writes.dtype) == (shape, dtype)


@pytest.mark.parametrize(
    "call",
    [
        signature("aten::mm", [[2, 3], [3, 4]], [B, B]),
        signature("somebodys::add", [[2, 3], [2, 3]], [B, B]),
        signature("aten::mul", [[2, 3], [4]], [B, B]),
        signature("aten::mul", [[True, -1], "x"], [B, B]),
        signature("aten::cat", [[[2, 3], [5]], []], ["TensorList", "Scalar"], ["", "0"]),
        Signature("aten::add", b"[[", b"[", b""),
        Signature("aten::add", b"", b"", b""),
    ],
)
def test_what_is_no_such_kernel_or_has_no_sane_shapes(call: Signature) -> None:
    assert operands_of(call) is None
