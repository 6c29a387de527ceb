"""Bytes that modules allocate, against paper, and sums against a plain loop."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tracekit.capture.memory import _sums, allocations_by_module, allocator_peak
from tracekit.capture.scopes import module_scopes


class Wasteful(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.empty(1 << 20, dtype=torch.uint8)  # freed at once
        return x.neg()


def test_allocated_and_still_held() -> None:
    # 1024 floats in, 2048 out of the first layer, 2048 more out of the second, which wastes 1 MiB
    model = nn.Sequential(nn.Linear(1024, 2048, bias=False), Wasteful())
    x = torch.ones(1, 1024)
    kept = []
    with torch.inference_mode(), module_scopes(model):
        found = allocations_by_module(lambda: kept.append(model(x)), on_gpu=False)
    assert found[1] == {"allocated_bytes": 8192, "net_bytes": 8192}
    assert found[2] == {"allocated_bytes": 8192 + (1 << 20), "net_bytes": 8192}
    assert found[0]["allocated_bytes"] == 2 * 8192 + (1 << 20)


def test_a_cpu_has_no_allocator_to_ask() -> None:
    with allocator_peak(torch.device("cpu")) as memory:
        pass
    assert set(memory.values()) == {None}


TREES = st.recursive(st.just([]), lambda inner: st.lists(inner, max_size=3), max_leaves=12)


@given(TREES, st.lists(st.tuples(st.integers(0, 60), st.integers(-9, 9)), max_size=20), st.data())
def test_sums_equal_those_of_a_plain_loop(
    tree: list[object], changes: list[tuple[int, int]], data: st.DataObject
) -> None:
    calls: list[tuple[int, int, int, int]] = []

    def lay_out(node: object, start: int) -> int:
        """Gives the node and its children places in time that nest strictly."""
        end = start + 1
        for child in node if isinstance(node, list) else []:
            end = lay_out(child, end)
        calls.append((7, 2 * start, 2 * end, data.draw(st.integers(0, 3))))
        return end + 1

    lay_out(tree, 0)
    moments = [(7, 2 * time + 1, size) for time, size in changes]
    moments += [(8, 2 * time + 1, size) for time, size in changes]  # another thread's, in no call
    expected = {module: {"allocated_bytes": 0, "net_bytes": 0} for _, _, _, module in calls}
    for thread, time, size in moments:
        inside = {m for t, start, end, m in calls if t == thread and start <= time <= end}
        for module in inside:
            expected[module]["net_bytes"] += size
            expected[module]["allocated_bytes"] += max(size, 0)
    assert _sums(calls, moments) == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu() -> None:
    model = nn.Linear(1024, 2048, bias=False).cuda()
    x = torch.ones(1, 1024, device="cuda")
    model(x)
    kept = []
    with torch.inference_mode(), module_scopes(model), allocator_peak(x.device) as memory:
        found = allocations_by_module(lambda: kept.append(model(x)), on_gpu=True)
    assert found[0] == {"allocated_bytes": 8192, "net_bytes": 8192}
    peak, before = memory["peak_allocated_bytes"], memory["allocated_before_bytes"]
    assert peak is not None
    assert before is not None
    assert peak - before == 8192
