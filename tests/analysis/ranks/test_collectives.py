"""Kinds, sizes and speeds of collectives, and what real traces tell of them."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.analysis.ranks.traces import facts
from tests.builder import TraceBuilder
from tracekit.analysis.ranks import summarise
from tracekit.analysis.ranks.kinds import bus_factor, is_communication_op, kind_of, message_bytes, sizes_of
from tracekit.trace import CollectiveArgs

CORPUS = os.environ.get("TRACEKIT_CORPUS")


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("_allgather_base",), "allgather"),
        (("_reduce_scatter_base",), "reducescatter"),
        (("gloo:all_reduce",), "allreduce"),
        (("ncclDevKernel_Generic(ncclDevKernelArgsStorage<4096>)", "nccl:all_to_all"), "alltoall"),
        (("void vllm::cross_device_reduce_1stage<__half, 2>(…)",), "allreduce"),
        (("ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t",), "send"),
        (("nccl:coalesced",), "other"),
        ((), "other"),
    ],
)
def test_kinds_by_names(names: tuple[str, ...], kind: str) -> None:
    assert kind_of(*names) == kind


@pytest.mark.parametrize(
    ("name", "communicates"),
    [
        ("c10d::allreduce_", True),
        ("_c10d_functional::wait_tensor", True),
        ("record_param_comms", True),
        ("gloo:barrier", True),
        ("aten::add", False),
        ("my::gloo:thing", False),
    ],
)
def test_which_ops_communicate(name: str, communicates: bool) -> None:
    assert is_communication_op(name) is communicates


@pytest.mark.parametrize(
    ("kind", "factor"),
    # "Performance reported by NCCL tests", for 8 ranks: 2(n-1)/n, (n-1)/n, 1.
    [
        ("allreduce", 1.75),
        ("allgather", 0.875),
        ("reducescatter", 0.875),
        ("alltoall", 0.875),
        ("broadcast", 1.0),
        ("reduce", 1.0),
        ("barrier", None),
    ],
)
def test_bus_bandwidth_by_the_factors_of_nccl_tests(kind: str, factor: float | None) -> None:
    assert bus_factor(kind, 8) == factor


def test_the_size_of_a_message_is_that_of_the_gathered_side() -> None:
    assert message_bytes("allgather", 100, 800, 8) == message_bytes("allgather", 100, None, 8) == 800
    assert message_bytes("reducescatter", 800, 100, 8) == message_bytes("reducescatter", None, 100, 8) == 800
    assert message_bytes("allreduce", 800, 800, 8) == message_bytes("alltoall", 800, 600, 8) == 800
    assert message_bytes("allgather", 100, None, None) is None
    assert sizes_of(CollectiveArgs("allreduce", 10, 20, "BFloat16", 8)) == (20, 40)
    assert sizes_of(CollectiveArgs("allreduce", 10, None, "c10::Half", 8)) == (20, None)
    assert sizes_of(CollectiveArgs("allreduce", 10, 10, "new type", 8)) == (None, None)


def test_what_a_kernel_does_not_tell_the_op_that_launched_it_does(tmp_path: Path) -> None:
    builder = TraceBuilder().range("ProfilerStep#3", 0, 100).frame("Model_0", 0, 90).frame("Tp_0", 5, 80)
    builder.op("c10d::allreduce_", 10, 30)
    builder.op("record_param_comms", 11, 29)
    builder.events[-1]["args"] = facts(4, 17)
    builder.launch(1, 20).kernel(1, 40, 50, name="ncclDevKernel_Generic")
    found = summarise(builder.write(tmp_path / "t.json"))
    calls = found.collectives
    assert [calls.kinds[kind] for kind in calls.kind] == ["allreduce"]
    assert calls.groups[calls.group[0]] == ("0", "default_pg", "[0, 1, 2, 3]", 4)
    assert (calls.sequence.tolist(), calls.bytes_in.tolist()) == ([17], [20_000_000])
    assert [found.module_paths[module] for module in calls.module] == ["Model_0.Tp_0"]
    assert calls.step.tolist() == [3]


def test_a_group_that_is_not_told_is_the_only_one_or_unknown(tmp_path: Path) -> None:
    builder = TraceBuilder().range("gloo:all_reduce", 0, 10)
    rows = [{"pg_name": "0", "pg_desc": "all", "pg_size": 2, "ranks": [0, 1]}, {"pg_name": "1"}]
    for known, group in ((rows[:1], ("0", "all", "[0, 1]", 2)), (rows, None), ([], (None,) * 4)):
        builder.metadata = {"distributedInfo": {"rank": 0, "pg_config": known}}
        calls = summarise(builder.write(tmp_path / "t.json")).collectives
        number = int(calls.group[0])
        assert (calls.groups[number] if number >= 0 else None) == group


@pytest.mark.skipif(not CORPUS, reason="TRACEKIT_CORPUS is not set")
@pytest.mark.parametrize("name", ["a100_nccl_train", "mi300x_resnet_ddp_checkpoint_train"])
def test_real_kernels_by_what_they_say(name: str) -> None:
    path = Path(CORPUS or "") / f"{name}.json.gz"
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    kernels = [one for one in events if one.get("cat") == "kernel" and one["name"].startswith("nccl")]
    sizes = {"Float": 4, "BFloat16": 2, "Long": 8}
    expected = Counter(
        (
            one["args"]["Collective name"],
            str(one["args"]["Process Group Ranks"]),
            one["args"]["In msg nelems"] * sizes[one["args"]["dtype"]],
        )
        for one in kernels
        if "Collective name" in one["args"]
    )
    calls = summarise(path).collectives
    assert len(calls) == len(kernels)
    found = Counter(
        (calls.kinds[kind], calls.groups[group].ranks, size)
        for kind, group, size in zip(
            calls.kind.tolist(), calls.group.tolist(), calls.bytes_in.tolist(), strict=True
        )
        if size >= 0
    )
    assert found == expected
