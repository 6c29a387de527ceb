"""What one device must send, against the sums on paper."""

# ruff: noqa: E501 (a table of calls, one a line)

from __future__ import annotations

import json
from typing import Any

import pytest

from tracekit.costs import Collective, Cost, cost_of
from tracekit.costs.formulas.collectives import sent_bytes
from tracekit.costs.registry import is_wrapper

B, L = "c10::BFloat16", "TensorList"


def recorded(
    name: str, size_in: int | None, size_out: int | None, group: int | None, dtype: str | None = "BFloat16"
) -> Cost | None:
    collective = Collective(name, size_in, size_out, dtype, group)
    return cost_of("record_param_comms", b"", b"", b"", None, collective)


@pytest.mark.parametrize(
    ("name", "size_in", "size_out", "group", "expected"),
    [
        # a ring of 8: 7 steps of an eighth to add, 7 to spread the sums
        ("allreduce", 800, 800, 8, 14 * 100 * 2),
        ("allreduce", 800, 800, 1, 0),
        # of the 8 shards of 100, one's own is sent on 7 times around
        ("_allgather_base", 100, 800, 8, 700 * 2),
        ("all_gather", 100, None, 8, 700 * 2),
        ("_reduce_scatter_base", 800, 100, 8, 700 * 2),
        ("reduce_scatter", None, 100, 8, 700 * 2),
        ("all_to_all", 800, 800, 8, 700 * 2),
        ("broadcast", 100, 100, 8, 200),
        ("send", 100, 100, 2, 200),
        # a group of unknown size: of two, or what the sizes tell
        ("allreduce", 800, 800, None, 800 * 2),
        ("_allgather_base", 100, 800, None, 700 * 2),
        ("wait", 0, 0, 1, 0),
    ],
)
def test_recorded_collectives(
    name: str, size_in: int | None, size_out: int | None, group: int | None, expected: int
) -> None:
    found = recorded(name, size_in, size_out, group)
    assert found is not None
    assert (found.bytes, found.dtype, found.over_network, found.matrix) == (expected, B, True, 0)


def test_ring_all_reduce_sends_what_a_simulated_ring_sends() -> None:
    """Reduce-scatter and all-gather around a ring of n: in every step each device sends one chunk."""
    devices, chunk = 5, 12
    chunks = [[float(device)] * devices for device in range(devices)]
    sent = [0] * devices
    for step in range(2 * (devices - 1)):
        moves = []
        for device in range(devices):
            index = (
                (device - step) % devices
                if step < devices - 1
                else (device + 1 - step + devices - 1) % devices
            )
            moves.append(((device + 1) % devices, index, chunks[device][index]))
            sent[device] += chunk
        for target, index, value in moves:
            chunks[target][index] = value + (chunks[target][index] if step < devices - 1 else 0)
    assert chunks == [[sum(range(devices))] * devices] * devices
    assert {sent_bytes("allreduce", devices * chunk, None, devices)} == set(sent)


def cost(
    name: str, dims: Any, types: list[str], values: list[str] | None = None, element: int | None = None
) -> Cost | None:
    encode = lambda value: b"" if value is None else json.dumps(value).encode()  # noqa: E731
    return cost_of(name, encode(dims), encode(types), encode(values), element)


@pytest.mark.parametrize(
    ("name", "dims", "types", "values", "expected"),
    [
        ("c10d::_allgather_base_", [[64], [16], []], [B, B, ""], [], 48 * 2),
        ("c10d::_reduce_scatter_base_", [[16], [64], []], [B, B, ""], [], 48 * 2),
        ("c10d::alltoall_base_", [[40], [64], [], [], []], [B, B, "", "", ""], [], 32 * 2),
        ("c10d::allreduce_", [[[64], [32]], [], []], [L, "", ""], [], 96 * 2),
        ("c10d::allgather_", [[], [[16]], []], ["GenericList", L, ""], [], 16 * 2),
        ("c10d::broadcast_", [[[64]], [], []], [L, "", ""], [], 64 * 2),
        ("c10d::barrier", [[1], [], []], [B, "", ""], [], 0),
        ("nccl:all_reduce", [[64]], [B], [], 64 * 2),
        ("_c10d_functional::all_gather_into_tensor", [[16], [], []], [B, "Scalar", ""], ["", "4", ""], 48 * 2),
        ("_c10d_functional::reduce_scatter_tensor", [[64], [], [], []], [B, "", "Scalar", ""], ["", "", "4", ""], 48 * 2),
        ("_C_custom_ar::all_reduce", [[], [8, 8], [8, 8], [], []], ["Scalar", B, B, "Scalar", "Scalar"], [], 64 * 2),
        ("vllm::all_reduce", [[8, 8], []], [B, ""], [], 64 * 2),
        ("vllm::all_gather", [[8, 8], [], [], []], [B, "Scalar", "Scalar", ""], ["", "0", "4", ""], 192 * 2),
        ("symm_mem::one_shot_all_reduce", [[64], [], []], [B, "", ""], [], 64 * 2),
    ],
)  # fmt: skip
def test_ops(name: str, dims: Any, types: list[str], values: list[str], expected: int) -> None:
    found = cost(name, dims, types, values, element=2)
    assert found is not None
    assert (found.bytes, found.over_network) == (expected, True)


def test_the_op_around_a_recorded_collective_gives_way_to_it() -> None:
    assert is_wrapper("c10d::allreduce_")
    assert is_wrapper("_c10d_functional::all_reduce")
    assert not is_wrapper("record_param_comms")


def test_what_cannot_be_known_has_no_cost() -> None:
    assert recorded("allreduce", None, None, 8) is None
    assert recorded("allreduce", 800, 800, 8, dtype=None) is None
    assert recorded("init", 0, 0, 8) is None
    assert cost("record_param_comms", [[], []], [L, "Scalar"]) is None
    assert cost("c10d::allreduce_", [[], [], []], [L, "", ""]) is None
    assert cost("c10d::allreduce_", [[[64]], [], []], [L, "", ""]) is None  # of an unknown type
