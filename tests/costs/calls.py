"""Calls as a trace records them, written readably: `cost("aten::mm", tensor(2, 3), tensor(3, 5))`."""

from __future__ import annotations

import json
from typing import Any

from tracekit.costs import Cost, cost_of

BF16, HALF, FP32, FP8, INT8, UINT8, INT32 = (
    "c10::BFloat16",
    "c10::Half",
    "float",
    "c10::Float8_e4m3fn",
    "signed char",
    "unsigned char",
    "int",
)
BF16_NUMBER, FP32_NUMBER = 15, 6  # of torch.bfloat16 and torch.float32 in c10/core/ScalarType.h

Argument = Any


def tensor(*shape: int, dtype: str = BF16) -> dict[str, Any]:
    return {"shape": list(shape), "dtype": dtype, "value": ""}


def fp8(*shape: int) -> dict[str, Any]:
    return tensor(*shape, dtype=FP8)


def int8(*shape: int) -> dict[str, Any]:
    return tensor(*shape, dtype=INT8)


# What tests of products multiply, if nothing else is said: [4, 6] @ [6, 10], which has 40 results.
FLOPS = 2 * 4 * 6 * 10
A, B, OUT = 24, 60, 40  # elements
SCALE = tensor(dtype=FP32)


def tensors(*shapes: tuple[int, ...]) -> dict[str, Any]:
    return {"shape": [list(shape) for shape in shapes], "dtype": "TensorList", "value": ""}


def cost(name: str, *arguments: Argument) -> Cost | None:
    """The cost of a call with tensors, None, numbers, bools, lists of numbers, and text (not recorded)."""
    inputs = [_input(argument) for argument in arguments]
    columns = ([given[key] for given in inputs] for key in ("shape", "dtype", "value"))
    return cost_of(name, *(json.dumps(column).encode() for column in columns))


def known(name: str, *arguments: Argument) -> Cost:
    found = cost(name, *arguments)
    assert found is not None
    return found


def _input(argument: Argument) -> dict[str, Any]:
    if isinstance(argument, dict):
        return argument
    if argument is None or isinstance(argument, str):
        return {"shape": [], "dtype": "", "value": ""}
    kind = "ScalarList" if isinstance(argument, list | tuple) else "Scalar"
    value = str(list(argument)) if kind == "ScalarList" else str(argument)
    return {"shape": [], "dtype": kind, "value": value}
