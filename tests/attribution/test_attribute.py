"""Kernel → launch → op → scope → module → pass on miniature traces whose answers are plain to see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builder import TraceBuilder
from tracekit.attribution import NOBODY, Attribution, attribute
from tracekit.trace import Trace, read


def attributed(builder: TraceBuilder, tmp_path: Path) -> tuple[Trace, Attribution]:
    trace = read(builder.write(tmp_path / "t.json"))
    return trace, attribute(trace)


def paths(attribution: Attribution) -> list[str | None]:
    """The module path of each GPU event."""
    tree = attribution.tree
    return [None if s == NOBODY else tree.modules[tree.module[s]].path for s in attribution.gpu_scope]


def forward_of_three(builder: TraceBuilder, at: float, correlation: int) -> TraceBuilder:
    """A call of Net_0 with Linear_0 (one kernel), a kernel of its own, and Linear_1, which touches it."""
    return (
        builder.frame("Net_0", at, at + 50)
        .frame("Linear_0", at + 10, at + 20)
        .frame("Linear_1", at + 20, at + 30)
        .op("aten::linear", at + 11, at + 19)
        .op("aten::addmm", at + 12, at + 18)
        .launch(correlation, at + 13)
        .kernel(correlation, at + 100, at + 110)
        .launch(correlation + 1, at + 20)  # starts where Linear_0 ends and Linear_1 begins
        .kernel(correlation + 1, at + 110, at + 115)
        .launch(correlation + 2, at + 40)
        .kernel(correlation + 2, at + 115, at + 118)
    )


def test_frames(tmp_path: Path) -> None:
    builder = forward_of_three(TraceBuilder(), 1000, 1)
    forward_of_three(builder, 2000, 11)
    builder.kernel(99, 1001, 1002)  # launched before the trace began
    builder.launch(50, 3000).kernel(50, 3010, 3011)  # outside of all modules
    trace, attribution = attributed(builder, tmp_path)
    linear_0, linear_1 = "Net_0.Linear_0", "Net_0.Linear_1"
    assert paths(attribution) == [linear_0, linear_1, "Net_0"] * 2 + [None, None]
    assert attribution.launched_before_trace.tolist() == [False] * 6 + [True, False]
    assert attribution.gpu_pass.tolist() == [0, 0, 0, 1, 1, 1, NOBODY, NOBODY]
    assert [(m.path, m.name, m.type) for m in attribution.tree.modules] == [
        ("Net_0", "Net_0", "Net"),
        (linear_0, "Linear_0", "Linear"),
        (linear_1, "Linear_1", "Linear"),
    ]
    assert trace.names[attribution.ops.name[attribution.gpu_op[0]]] == "aten::addmm"
    assert attribution.gpu_op[1] == NOBODY


def test_scopes_of_capture(tmp_path: Path) -> None:
    builder = TraceBuilder()
    builder.metadata = {
        "tracekit": {
            "modules": [
                {"index": 0, "path": "", "type": "Net", "parameters": 10},
                {"index": 1, "path": "слой", "type": "Linear", "parameters": 6},
            ]
        }
    }
    for number, at in enumerate((100, 200)):
        builder.scope("forward", str(number), at, at + 60)
        builder.scope(0, "", at + 1, at + 50).scope(1, "____", at + 2, at + 20)
        builder.launch(number * 2, at + 3).kernel(number * 2, at + 30, at + 40)
        builder.launch(number * 2 + 1, at + 55).kernel(number * 2 + 1, at + 60, at + 70)  # after the model
    builder.frame("Net_0", 101, 150)  # a second source is not used beside the scopes
    _, attribution = attributed(builder, tmp_path)
    assert attribution.tree.source == "scopes"
    assert [(m.path, m.name, m.type, m.table_index) for m in attribution.tree.modules] == [
        ("", "Net", "Net", 0),
        ("слой", "слой", "Linear", 1),
    ]
    assert paths(attribution) == ["слой", None, "слой", None]
    assert attribution.gpu_pass.tolist() == [0, 0, 1, 1]
    assert len(attribution.ops) == 0  # a scope is no op, though torch writes it as one


def test_user_ranges_that_are_a_module_tree(tmp_path: Path) -> None:
    builder = TraceBuilder().range("ProfilerStep#3", 0, 200).range("Optimizer.step", 150, 160)
    builder.range("backbone", 10, 100).range("backbone.layers.0", 20, 60).range(
        "backbone.layers.0.mixer", 30, 50
    )
    builder.range("lm_head", 110, 120).range("loss", 130, 140)
    builder.launch(1, 35).kernel(1, 40, 41).launch(2, 115).kernel(2, 116, 117).launch(3, 135).kernel(
        3, 136, 137
    )
    _, attribution = attributed(builder, tmp_path)
    assert attribution.tree.source == "ranges"
    assert [m.path for m in attribution.tree.modules] == [
        "backbone",
        "backbone.layers.0",
        "backbone.layers.0.mixer",
        "lm_head",
    ]
    assert paths(attribution) == ["backbone.layers.0.mixer", "lm_head", None]
    assert attribution.gpu_pass.tolist() == [0, 0, NOBODY]
    assert len(attribution.regions) == 3


def test_other_user_ranges_are_regions(tmp_path: Path) -> None:
    builder = TraceBuilder().range("DistributedDataParallel.forward", 0, 50).range("nccl:all_reduce", 10, 20)
    builder.range("forward", 100, 200).range("forward_loss", 110, 120).launch(1, 15).kernel(1, 20, 21)
    _, attribution = attributed(builder, tmp_path)
    assert attribution.tree.source is None
    assert len(attribution.regions) == 4
    assert paths(attribution) == [None]


def test_scopes_on_other_threads_do_not_enclose(tmp_path: Path) -> None:
    builder = TraceBuilder().frame("Net_0", 0, 100).frame("Linear_0", 10, 90)
    builder.launch(1, 20, tid=2).kernel(1, 30, 31)  # the autograd thread
    builder.frame("Linear_0", 200, 300, tid=2).launch(2, 210, tid=2).kernel(2, 220, 221)  # recomputed there
    _, attribution = attributed(builder, tmp_path)
    assert paths(attribution) == [None, "Net_0.Linear_0"]
    assert len(attribution.passes) == 1


def test_one_graph_launch_has_many_kernels(tmp_path: Path) -> None:
    builder = TraceBuilder().frame("Net_0", 0, 100).launch(5, 10)
    for i in range(300):
        builder.kernel(5, 20 + i, 21 + i)
    _, attribution = attributed(builder, tmp_path)
    assert paths(attribution) == ["Net_0"] * 300


def test_correlations_are_of_a_process(tmp_path: Path) -> None:
    builder = TraceBuilder()
    for pid, device in ((100, 0), (200, 1)):
        builder.frame(f"Net_{pid}", 0, 100, pid=pid, tid=pid)
        builder.launch(7, 10 + device, pid=pid, tid=pid)
        for own in range(3):
            builder.launch(pid + own, 20 + own, pid=pid, tid=pid)
            builder.kernel(pid + own, 30 + own, 31 + own, device=device)
        builder.kernel(7, 50, 51, device=device)
    _, attribution = attributed(builder, tmp_path)
    assert paths(attribution) == ["Net_100"] * 4 + ["Net_200"] * 4


def test_a_correlation_that_is_used_again(tmp_path: Path) -> None:
    builder = TraceBuilder().frame("A_0", 0, 10).launch(1, 5).kernel(1, 11, 12)
    builder.frame("B_0", 100, 110).launch(1, 105).kernel(1, 111, 112)
    _, attribution = attributed(builder, tmp_path)
    assert paths(attribution) == ["A_0", "B_0"]


def test_other_outermost_modules_belong_to_the_pass_of_the_root(tmp_path: Path) -> None:
    builder = TraceBuilder()
    for at in (0, 1000):
        builder.frame("Model_0", at, at + 100).frame("Layer_0", at + 10, at + 90)
        builder.frame("Sampler_0", at + 200, at + 300)
        builder.launch(at, at + 20).kernel(at, at + 30, at + 31)
        builder.launch(at + 1, at + 210).kernel(at + 1, at + 220, at + 221)
    _, attribution = attributed(builder, tmp_path)
    assert len(attribution.passes) == 2
    assert attribution.gpu_pass.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("kind", ["frames", "scopes"])
def test_module_reached_by_two_paths_has_that_of_its_first_call(tmp_path: Path, kind: str) -> None:
    builder = TraceBuilder().frame("Net_0", 0, 100)
    builder.frame("A_0", 10, 40).frame("Shared_0", 20, 30).frame("B_0", 50, 90).frame("Shared_0", 60, 70)
    if kind == "scopes":
        names = {"Net_0": 0, "A_0": 1, "Shared_0": 2, "B_0": 3}
        found = {"Net_0": "", "A_0": "a", "Shared_0": "a.shared", "B_0": "b"}
        for event in builder.events:
            name = event["name"].removeprefix("nn.Module: ")
            event.update(cat="user_annotation", name=f"tracekit:{names[name]}:{found[name]}")
    _, attribution = attributed(builder, tmp_path)
    shared = next(m for m in attribution.tree.modules if "hared" in m.name)
    assert shared.path == ("Net_0.A_0.Shared_0" if kind == "frames" else "a.shared")
    assert np.bincount(attribution.tree.module).tolist() == [1, 1, 2, 1]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 80), st.integers(1, 3)), max_size=12),
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 300), st.integers(0, 9), st.integers(1, 3)), max_size=25
    ),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 400), st.integers(0, 20)), max_size=40),
)
def test_every_gpu_event_has_one_share(
    tmp_path_factory: pytest.TempPathFactory,
    frames: list[tuple[int, int, int]],
    launches: list[tuple[int, int, int, int]],
    kernels: list[tuple[int, int, int]],
) -> None:
    builder = TraceBuilder()
    for index, (start, length, tid) in enumerate(frames):
        builder.frame(f"M_{index}", start, start + length, tid=tid)
    for correlation, start, length, tid in launches:
        builder.launch(correlation, start, start + length, tid=tid)
    for correlation, start, length in kernels:
        builder.kernel(correlation, start, start + length)
    if not builder.events:
        return
    _, attribution = attributed(builder, tmp_path_factory.mktemp("t"))
    before, inside = attribution.launched_before_trace, attribution.in_module
    assert not np.any(before & inside)
    known = {correlation for correlation, *_ in launches}
    assert before.tolist() == [correlation not in known for correlation, *_ in kernels]


@pytest.mark.parametrize("later", [0, 3, 500, 1_000_000])
def test_ranks_that_number_their_launches_alike_keep_their_devices(tmp_path: Path, later: int) -> None:
    """Two ranks of one program, merged; the second one starts so many µs later."""
    first, second = TraceBuilder("[TP00] 71"), TraceBuilder("[TP01] 72")
    for rank, (builder, at) in enumerate(((first, 1000), (second, 1000 + later))):
        forward_of_three(builder, at, 1)
        for event in builder.events:
            if event["cat"] == "kernel":
                event["pid"] = f"[TP0{rank}] 0"
    first.events += second.events
    trace, attribution = attributed(first, tmp_path)
    process = [trace.threads[trace.launches.thread[launch]][0] for launch in attribution.gpu_launch]
    assert process == ["[TP00] 71"] * 3 + ["[TP01] 72"] * 3


def test_each_process_keeps_its_own_correlations_where_most_are_shared(tmp_path: Path) -> None:
    builder = TraceBuilder()
    for pid, own, correlations in ((10, "A_0", (1, 2, 3)), (20, "B_0", (1, 2, 9))):
        builder.frame(own, 0, 100, pid=pid, tid=pid)
        for n, correlation in enumerate(correlations):
            builder.launch(correlation, 10 * n + pid / 10, pid=pid, tid=pid)
            builder.kernel(correlation, 200 + n, 201 + n, device=pid // 10)
    _, attribution = attributed(builder, tmp_path)
    assert paths(attribution) == ["A_0"] * 3 + ["B_0"] * 3
    assert attribution.gpu_pass.tolist() == [0, 0, 0, NOBODY, NOBODY, NOBODY]


def test_modules_before_the_first_call_of_the_root_are_in_no_pass(tmp_path: Path) -> None:
    builder = TraceBuilder().frame("Preprocessor_0", 0, 50).launch(1, 10).kernel(1, 20, 900)
    builder.frame("Model_0", 1000, 1100).frame("Linear_0", 1010, 1020).launch(2, 1012).kernel(2, 1015, 1016)
    _, attribution = attributed(builder, tmp_path)
    assert attribution.gpu_pass.tolist() == [NOBODY, 0]


def test_what_is_recomputed_after_the_forward_is_in_no_pass(tmp_path: Path) -> None:
    builder = (
        TraceBuilder().frame("Model_0", 0, 100).frame("Linear_0", 10, 20).launch(1, 12).kernel(1, 15, 16)
    )
    builder.frame("Linear_0", 50, 60, tid=2).launch(2, 52, tid=2).kernel(2, 55, 56)  # beside the root: a part
    builder.frame("Linear_0", 200, 300, tid=2).launch(3, 210, tid=2).kernel(3, 220, 230)
    _, attribution = attributed(builder, tmp_path)
    assert attribution.gpu_pass.tolist() == [0, 0, NOBODY]
    assert paths(attribution) == ["Model_0.Linear_0"] * 3


def test_forwards_that_run_on_two_threads_at_once(tmp_path: Path) -> None:
    builder = TraceBuilder()
    for number, tid in enumerate((1, 2)):
        builder.scope("forward", str(number), 10 * number, 100 + number, tid=tid)
        builder.scope(0, "", 10 * number + 1, 90, tid=tid)
        builder.launch(number + 1, 50 + number, tid=tid).kernel(number + 1, 60 + number, 61 + number)
    _, attribution = attributed(builder, tmp_path)
    assert attribution.gpu_pass.tolist() == [0, 1]
