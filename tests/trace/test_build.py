"""From decoded events to columns: which events count as what, and chunks that several builders share."""

from __future__ import annotations

import json
import pickle
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracekit.trace import NO_ID, Trace
from tracekit.trace.build import ColumnsBuilder, interleaved
from tracekit.trace.events import decode_events

TABLES = ("ops", "launches", "gpu_events", "frames", "annotations", "flows", "collectives")


def event(cat: str | None, number: int = 0, **other: Any) -> dict[str, Any]:
    name = "nn.Module: Linear_0" if cat == "python_function" else f"name {number}"
    common = {"ph": "X", "cat": cat, "name": name, "pid": 1, "tid": 2, "ts": number, "dur": 1}
    return {**common, "args": {"correlation": number}, **other}


def add(builder: ColumnsBuilder, events: list[dict[str, Any]], begin: int = 0) -> None:
    text = json.dumps(events).encode()
    builder.add(decode_events(text), text, begin)


def built(*chunks: list[dict[str, Any]]) -> Trace:
    builder = ColumnsBuilder()
    for chunk in chunks:
        add(builder, chunk)
    return trace_of(builder)


def trace_of(builder: ColumnsBuilder) -> Trace:
    return builder.build(Path("t.json"), 0, 0, [], {})


@pytest.mark.parametrize(
    ("category", "table"),
    [
        ("cpu_op", "ops"),
        ("Operator", "ops"),
        ("CPU_OP", "ops"),
        ("cuda_runtime", "launches"),
        ("cuda_driver", "launches"),
        ("hip_runtime", "launches"),
        ("Runtime", "launches"),
        ("some_new_device_DRIVER", "launches"),
        ("kernel", "gpu_events"),
        ("Kernel", "gpu_events"),
        ("gpu_memcpy", "gpu_events"),
        ("GPU_Memset", "gpu_events"),
        ("CONCURRENT_KERNEL", "gpu_events"),
        ("gcu_memcpy", "gpu_events"),
        ("GCU_MEMSET", "gpu_events"),
        ("mtia_ccp_events", "gpu_events"),
        ("mtia_runtime", "launches"),
        ("hpu_op", "launches"),
        ("Memcpy", "gpu_events"),
        ("python_function", "frames"),
        ("user_annotation", "annotations"),
        ("User_Annotation", "annotations"),
        ("gpu_user_annotation", None),
        ("kernel,other", None),
        ("fwdbwd", None),
        ("ac2g", None),
        ("never heard of", None),
        ("ядро", None),
        ("", None),
        (None, None),
    ],
)
def test_what_an_event_of_a_category_is(category: str | None, table: str | None) -> None:
    trace = built([event(category, name="nn.Module: Linear_0")])
    assert trace.event_count == 1
    assert [len(getattr(trace, one)) for one in TABLES] == [int(one == table) for one in TABLES]


@pytest.mark.parametrize("phase", ["B", "i", "s", "x", "XX", "", "M", "never heard of", None])
def test_only_complete_events_are_intervals(phase: str | None) -> None:
    trace = built([event("kernel", ph=phase)])
    assert (trace.event_count, trace.skipped_count, len(trace.gpu_events)) == (1, 0, 0)


@pytest.mark.parametrize(
    ("phase", "category", "times"),
    [
        ("s", "fwdbwd", [0]),
        ("f", "forward_backward", [0]),
        ("t", "fwdbwd", []),
        ("X", "fwdbwd", []),
        ("s", "Fwdbwd", [0]),
        ("s", "ac2g", []),
        ("s", None, []),
    ],
)
def test_which_events_are_ends_of_flows(phase: str, category: str, times: list[int]) -> None:
    assert built([event(category, ph=phase, id=7)]).flows.time.tolist() == times


@pytest.mark.parametrize(
    ("name", "is_read"),
    [
        ("nn.Module: ", True),
        ("nn.Module: \u0000", True),
        ("nn.Module: \U0010ffff", True),
        ("nn.Module:", False),
        ("nn.Module:!", False),
        ("nn.Modulf", False),
        ("NN.Module: a", False),
        ("", False),
        (None, False),
    ],
)
def test_which_frames_are_of_modules(name: str | None, is_read: bool) -> None:
    assert len(built([event("python_function", name=name)]).frames) == is_read


@pytest.mark.parametrize("cat", ["cpu_op", "cuda_runtime", "kernel", "user_annotation"])
def test_what_has_no_name_counts_all_the_same(cat: str) -> None:
    nameless = event(cat)
    del nameless["name"]
    trace = built([event(cat, name=None), nameless, event(cat, name="")])
    assert (trace.event_count, trace.skipped_count, trace.names) == (3, 0, [""])
    assert sum(len(getattr(trace, table)) for table in TABLES) == 3


def test_threads_that_alternate_and_differ_in_type_alone() -> None:
    pairs: list[tuple[Any, Any]] = [(1, 2), (1, 2), (1, "2"), ("1", 2), (1, 2), (None, None), (2**70, 2)]
    trace = built([event("cpu_op", pid=pid, tid=tid) for pid, tid in pairs])
    assert trace.ops.thread.tolist() == [0, 0, 1, 2, 0, 3, 4]
    assert list(trace.threads) == [(1, 2), (1, "2"), ("1", 2), (None, None), (2**70, 2)]
    assert trace.processes.tolist() == [0, 0, 1, 2, 3]


def test_signatures_with_and_without_shapes_are_numbered_as_they_come() -> None:
    shapes, collective = {"Input Dims": [[2, 3]]}, {"Collective name": "allreduce", "Group size": 8}
    args = [None, shapes, {}, shapes, collective, {"dtype": "Int"}, {"Collective name": 5}]
    ops = [event("cpu_op", name="a", args=one) for one in args]
    trace = built(ops, [*ops, event("cpu_op", name="b")], [event("cpu_op", name="b")])
    once = [0, 1, 0, 1, 2, 0, 3]
    # No text is no name of a collective, yet says that there was one.
    assert trace.ops.signature.tolist() == [*once, *once, 4, 4]
    signatures = [(one.name, bytes(one.shapes), one.collective) for one in trace.signatures]
    assert [signature[:2] for signature in signatures] == [
        ("a", b""),
        ("a", b"[[2, 3]]"),
        ("a", b""),
        ("a", b""),
        ("b", b""),
    ]
    known = trace.signatures[2].collective
    assert known is not None
    assert known == ("allreduce", None, None, None, 8)
    assert trace.signatures[0].collective is trace.signatures[3].collective is None


def test_shapes_as_old_versions_of_torch_spell_them() -> None:
    trace = built(
        [event("Operator", args={"Input dims": [[2, 3]], "Input type": ["float"]}), event("Operator")]
    )
    assert [bytes(one.shapes) for one in trace.signatures] == [b"[[2, 3]]", b""]


@pytest.mark.parametrize("value", [None, True, "5", 5.0, [5], {"a": 5}, -1, 2**63, 2**80])
def test_what_is_no_number_loses_the_link_alone(value: Any) -> None:
    keys = ("Sequence number", "Fwd thread id")
    ops = [event("cpu_op", args=dict.fromkeys(keys, number)) for number in (7, value, 2**62)]
    trace = built(ops)
    assert trace.skipped_count == 0
    assert trace.ops.sequence.tolist() == trace.ops.forward_thread.tolist() == [7, NO_ID, 2**62]


def test_correlations_keep_their_lowest_64_bits() -> None:
    values = [3, None, 2**63 - 1, 2**64 - 1, 2**64 + 5]
    trace = built([event("kernel", args={"correlation": value}) for value in values])
    assert trace.gpu_events.correlation.tolist() == [3, NO_ID, 2**63 - 1, -1, 5]


def test_events_without_a_sane_time_are_counted_apart_and_the_first_is_known_by_its_place() -> None:
    untimed = event("cpu_op", 3, dur=None)
    # Kernels are looked at after ops, but this one is first in the file; what nobody reads may have no time.
    chunk = [event("ac2g", 1, ts=None), event("kernel", 2, ts=1e300), untimed, event("cpu_op", 4)]
    builder = ColumnsBuilder()
    add(builder, [event("cpu_op")], begin=10)
    add(builder, chunk, begin=1000)
    add(builder, [untimed], begin=2000)
    assert (builder.event_count, builder.untimed_count) == (3, 3)
    assert builder.first_untimed == 1000 + len("[" + json.dumps(chunk[0]) + ", ")
    trace = trace_of(builder)
    assert (trace.event_count, trace.skipped_count) == (3, 3)
    assert trace.names == ["name 0", "name 4"]
    assert trace.ops.start.tolist() == [0, 4000]


EVENTS = st.builds(
    event,
    st.sampled_from(
        ["cpu_op", "kernel", "Memcpy", "cuda_runtime", "python_function", "user_annotation", "fwdbwd", "x"]
    ),
    st.integers(0, 9),
    ph=st.sampled_from(["X", "X", "X", "s", "f"]),
    tid=st.sampled_from([1, 2, "2", "3"]),
    dur=st.sampled_from([1, 2.5, None]),
    id=st.integers(0, 3),
    args=st.sampled_from(
        [
            None,
            {},
            {"Input Dims": [1]},
            {"Input Dims": [2], "device": 0},
            {"device": 1, "Sequence number": 4},
            {"Collective name": "allreduce", "Seq": 1},
            {"Collective name": "barrier", "device": 0},
        ]
    ),
)


@settings(max_examples=60, deadline=None)
@given(chunks=st.lists(st.lists(EVENTS, max_size=6), max_size=9), count=st.integers(1, 4))
def test_builders_that_take_turns_come_to_what_one_comes_to(
    chunks: list[list[dict[str, Any]]], count: int
) -> None:
    whole, shares = ColumnsBuilder(), [ColumnsBuilder() for _ in range(count)]
    for number, chunk in enumerate(chunks):
        add(whole, chunk, 1000 * number)
        add(shares[number % count], chunk, 1000 * number)
    merged = interleaved([pickle.loads(pickle.dumps(share.state(), protocol=5)) for share in shares])
    counts = ("event_count", "untimed_count", "first_untimed")
    assert [getattr(merged, one) for one in counts] == [getattr(whole, one) for one in counts]
    one, other = trace_of(merged), trace_of(whole)
    for field in fields(Trace):
        if field.name not in (*TABLES, "processes"):
            assert getattr(one, field.name) == getattr(other, field.name), field.name
    assert np.array_equal(one.processes, other.processes)
    for table in TABLES:
        columns, expected = (vars(getattr(trace, table)) for trace in (one, other))
        for name, column in columns.items():
            assert column.dtype == expected[name].dtype, (table, name)
            assert column.tolist() == expected[name].tolist(), (table, name)


NCCL = {
    "correlation": 7,
    "Collective name": "allreduce",
    "In msg nelems": 8,
    "Out msg nelems": 8,
    "Group size": 2,
    "dtype": "Float",
    "Process Group Name": "0",
    "Process Group Description": "default_pg",
    "Process Group Ranks": [0, 1],
    "Seq": 3,
}


@pytest.mark.parametrize(
    "odd",
    [
        {"Concrete Inputs": ["}{"]},  # braces in a text beside
        {"Concrete Inputs": ['"Collective name"']},
        {"Collective name": None},
        {"Collective name": 5},
        {"inner": {"Collective name": "broadcast"}},
    ],
)
def test_collectives_are_known_by_group_and_sequence_whatever_stands_beside(odd: dict[str, Any]) -> None:
    chunk = [
        event("cpu_op", 0, args={**NCCL, "Process Group Ranks": "[0, 1]", "Seq": None}),
        event("cpu_op", 1, args=odd),
        event("kernel", 2, args=NCCL),
        event("gpu_user_annotation", 3, args=NCCL),
        event("kernel", 4),
    ]
    trace = built(chunk, [event("kernel", 5, args={**NCCL, "Seq": 4})])
    found = [
        (int(start), int(correlation), recorded.args[:5], recorded[1:])
        for start, correlation, recorded in zip(
            trace.collectives.start,
            trace.collectives.correlation,
            [trace.recorded[code] for code in trace.collectives.recorded],
            strict=True,
        )
    ]
    args = ("allreduce", 8, 8, "Float", 2)
    assert found == [
        (0, NO_ID, args, ("0", "default_pg", "[0, 1]", None)),
        (2000, 7, args, ("0", "default_pg", "[0, 1]", 3)),
        (5000, 7, args, ("0", "default_pg", "[0, 1]", 4)),
    ]
    assert trace.signatures[trace.ops.signature[0]].collective == args


def test_ranges_of_gloo_are_collectives_of_their_input() -> None:
    sized = {"Input Dims": [[4, 25]], "Input type": ["float"]}
    chunk = [
        event("user_annotation", 1, name="gloo:all_reduce", args=sized),
        event("user_annotation", 2, name="gloo:barrier", args={}),
        event("user_annotation", 3, name="gloo:send", args={"Input Dims": [[1]], "Input type": 3}),
        event("user_annotation", 4, name="nccl:all_reduce", args=sized),
    ]
    trace = built(chunk)
    assert [trace.recorded[code].args for code in trace.collectives.recorded] == [
        ("gloo:all_reduce", 100, None, "float", None),
        ("gloo:barrier", None, None, None, None),
        ("gloo:send", None, None, None, None),
    ]
    assert trace.collectives.start.tolist() == [1000, 2000, 3000]
