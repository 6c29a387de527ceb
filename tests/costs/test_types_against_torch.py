"""Sizes of types, and types of results, against torch itself."""

from __future__ import annotations

import json
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

from tracekit.costs.formulas.tensors import promoted
from tracekit.costs.registry import DTYPE_BYTES, Call

torch = pytest.importorskip("torch")

SPELLED = {
    "bool": torch.bool,
    "unsigned char": torch.uint8,
    "signed char": torch.int8,
    "short int": torch.int16,
    "int": torch.int32,
    "long int": torch.int64,
    "c10::Half": torch.half,
    "c10::BFloat16": torch.bfloat16,
    "float": torch.float,
    "double": torch.double,
    "c10::complex<c10::Half>": torch.complex32,
    "c10::complex<float>": torch.complex64,
    "c10::complex<double>": torch.complex128,
}


def all_types() -> list[Any]:
    """Torch's types that a tensor can be made of; names of a type that are aliases count once."""
    found = {value for value in vars(torch).values() if isinstance(value, torch.dtype)}
    return sorted(found, key=str)


def test_sizes_of_all_types(tmp_path: Path) -> None:
    made = {}
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True
    ) as profiler:
        for dtype in all_types():
            try:
                tensor = torch.empty(6, dtype=dtype)
            except (RuntimeError, NotImplementedError):
                continue  # quantised types are made otherwise
            with torch.profiler.record_function(f"type {dtype}"):
                tensor.view(2, 3)
            made[f"type {dtype}"] = tensor.element_size()
    profiler.export_chrome_trace(str(tmp_path / "t.json"))
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    events = sorted((event for event in events if event.get("ph") == "X"), key=lambda event: event["ts"])
    known = 0
    for before, event in pairwise(events):
        if before["name"] in made and event["name"] == "aten::view":
            spelled = event["args"]["Input type"][0]
            if "dummy" in spelled:  # types of 1 to 7 bits, of which torch has the names only
                continue
            assert DTYPE_BYTES.get(spelled) == made[before["name"]], spelled
            known += 1
    assert known >= 15


@pytest.mark.parametrize(("a", "b"), product(SPELLED, SPELLED))
def test_promotion_of_tensors(a: str, b: str) -> None:
    expected = torch.promote_types(SPELLED[a], SPELLED[b])
    found = promoted(Call("aten::add", ((2, 3), (3,)), (a, b)), (0, 1))
    assert found is not None
    assert SPELLED[found] == expected


@pytest.mark.parametrize(("a", "value"), product(SPELLED, (True, 3, -2.5, 1j)))
def test_promotion_by_numbers(a: str, value: Any) -> None:
    """As a number in the trace, and as the tensor of one element that torch makes of it."""
    expected = torch.result_type(torch.ones(2, dtype=SPELLED[a]), value)
    wrapped = {bool: "bool", int: "long int", float: "double", complex: "c10::complex<double>"}[type(value)]
    for call in (
        Call("aten::add", ((2,), ()), (a, "Scalar"), ("", str(value))),
        Call("aten::add", ((2,), ()), (a, wrapped)),
    ):
        found = promoted(call, (0, 1))
        assert found is not None
        assert SPELLED.get(found) == expected


@pytest.mark.parametrize(("a", "b"), product(SPELLED, ("c10::Half", "float", "int", "bool")))
def test_promotion_by_tensors_without_dimensions(a: str, b: str) -> None:
    expected = torch.result_type(torch.ones(2, dtype=SPELLED[a]), torch.ones((), dtype=SPELLED[b]))
    found = promoted(Call("aten::add", ((2,), ()), (a, b)), (0, 1))
    assert found is not None
    assert SPELLED[found] == expected
