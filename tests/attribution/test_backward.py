"""Backward kernels → module whose forward they differentiate, on traces whose answers are plain to see."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builder import TraceBuilder
from tracekit.attribution import NOBODY, Attribution, attribute
from tracekit.trace import Trace, read

AUTOGRAD = 2  # the thread on which backward runs


def attributed(builder: TraceBuilder, tmp_path: Path) -> tuple[Trace, Attribution]:
    trace = read(builder.write(tmp_path / "t.json"))
    return trace, attribute(trace)


def path_of(attribution: Attribution, scope: int) -> str | None:
    tree = attribution.tree
    return None if scope == NOBODY else tree.modules[tree.module[scope]].path


def forward_and_backward(builder: TraceBuilder, tmp_path: Path) -> list[tuple[str | None, str | None]]:
    """Of each GPU event, the module that launched it in its forward and that whose backward it is of."""
    _, attribution = attributed(builder, tmp_path)
    scopes = zip(attribution.gpu_scope.tolist(), attribution.gpu_backward_scope.tolist(), strict=True)
    return [(path_of(attribution, forward), path_of(attribution, backward)) for forward, backward in scopes]


def backward_of(builder: TraceBuilder, tmp_path: Path) -> list[str | None]:
    """The module of each GPU event's backward; none of them is launched in a forward."""
    found = forward_and_backward(builder, tmp_path)
    assert {forward for forward, _ in found} <= {None}
    return [backward for _, backward in found]


def two_linears(numbered: bool = True, at: float = 0, sequence: int = 7) -> TraceBuilder:
    """Net_0 calls Linear_0 and Linear_1; each creates a node for its `t` and one for its `addmm`."""
    builder = TraceBuilder()
    call_two_linears(builder, numbered, at, sequence)
    return builder


def call_two_linears(builder: TraceBuilder, numbered: bool, at: float, sequence: int, tid: int = 1) -> None:
    builder.frame("Net_0", at, at + 100, tid=tid)
    for index in (0, 1):
        start, number = at + 10 + 40 * index, sequence + 2 * index

        def numbers(creates: int) -> dict[str, Any]:
            return {"sequence": creates, "tid": tid} if numbered else {"tid": tid}

        builder.frame(f"Linear_{index}", start, start + 30, tid=tid)
        builder.op("aten::linear", start + 1, start + 29, **numbers(number))
        builder.op("aten::t", start + 2, start + 5, **numbers(number))
        builder.op("aten::transpose", start + 3, start + 4, tid=tid)
        builder.op("aten::addmm", start + 10, start + 25, **numbers(number + 1))


def launch_in(
    builder: TraceBuilder, correlation: int, at: float, tid: int = AUTOGRAD, us: float = 1
) -> TraceBuilder:
    """A launch of a kernel that takes `us` microseconds."""
    builder.launch(correlation, at, tid=tid)
    return builder.kernel(correlation, at + 1000, at + 1000 + us)


def test_arrows_alone(tmp_path: Path) -> None:
    builder = two_linears(numbered=False)
    builder.node("AddmmBackward0", 200, 220, tid=AUTOGRAD).op("aten::mm", 205, 215, tid=AUTOGRAD)
    builder.arrow(1, forward=60, backward=201)  # from the addmm of Linear_1
    builder.node("AddmmBackward0", 230, 250, tid=AUTOGRAD).arrow(2, forward=20, backward=231)
    launch_in(builder, 1, 206)
    launch_in(builder, 2, 235)
    launch_in(builder, 3, 249)  # in the engine's op, behind the node's: adding up gradients
    assert backward_of(builder, tmp_path) == ["Net_0.Linear_1", "Net_0.Linear_0", "Net_0.Linear_0"]


def test_arrows_of_old_traces_have_another_category(tmp_path: Path) -> None:
    builder = two_linears(numbered=False).node("AddmmBackward0", 200, 220, tid=AUTOGRAD)
    builder.arrow("0x7f", forward=60, backward=201, cat="forward_backward")
    assert backward_of(launch_in(builder, 1, 206), tmp_path) == ["Net_0.Linear_1"]


def test_sequence_numbers_alone(tmp_path: Path) -> None:
    builder = two_linears(sequence=7)  # Linear_0 creates nodes 7 and 8, Linear_1 9 and 10
    for number, at in ((10, 200), (9, 230), (8, 260), (7, 290)):
        builder.node("Backward0", at, at + 20, sequence=number, tid=AUTOGRAD)
        launch_in(builder, number, at + 5)
    assert backward_of(builder, tmp_path) == ["Net_0.Linear_1"] * 2 + ["Net_0.Linear_0"] * 2


def test_the_last_op_with_a_number_created_its_node(tmp_path: Path) -> None:
    """Ops that need no gradient carry the number of the next node too: here an in-place add before a norm."""
    builder = TraceBuilder().frame("Counter_0", 0, 20).op("aten::add_", 5, 10, sequence=3)
    builder.frame("Norm_0", 30, 60).op("aten::batch_norm", 35, 55, sequence=3)
    builder.op("aten::native_batch_norm", 36, 50, sequence=3)
    builder.frame("Later_0", 70, 90).op("aten::relu", 75, 85, sequence=4)
    builder.node("NativeBatchNormBackward0", 100, 120, sequence=3, tid=AUTOGRAD)
    assert backward_of(launch_in(builder, 1, 105), tmp_path) == ["Norm_0"]


def test_both_agree_and_an_arrow_tells_the_thread(tmp_path: Path) -> None:
    builder = two_linears(sequence=7)
    call_two_linears(builder, True, 1000, 7, tid=5)  # another thread with the same numbers
    builder.node("AddmmBackward0", 2000, 2020, sequence=8, forward_thread=4, tid=AUTOGRAD)
    builder.arrow(1, forward=1020, backward=2001, forward_tid=5)
    # This node has no arrow, but was created by the thread that the other's arrow starts on.
    builder.node("AddmmBackward0", 2030, 2050, sequence=10, forward_thread=4, tid=AUTOGRAD)
    for frame in builder.events:
        if frame.get("tid") == 5 and frame["cat"] == "python_function":
            frame["name"] = frame["name"].replace("_", "_5")
    builder = launch_in(launch_in(builder, 1, 2005), 2, 2035)
    assert backward_of(builder, tmp_path) == ["Net_50.Linear_50", "Net_50.Linear_51"]


def test_an_arrow_between_ops_of_different_numbers_is_not_believed(tmp_path: Path) -> None:
    """In whole microseconds an arrow may seem to start in the next op."""
    builder = TraceBuilder().frame("A_0", 0, 10).op("aten::mm", 0, 10, sequence=1)
    builder.frame("B_0", 10, 20).op("aten::mm", 10, 20, sequence=2)
    builder.node("MmBackward0", 30, 40, sequence=1, tid=AUTOGRAD).arrow(1, forward=10, backward=31)
    assert backward_of(launch_in(builder, 1, 35), tmp_path) == ["A_0"]


def test_ops_that_seem_to_start_together(tmp_path: Path) -> None:
    builder = two_linears(numbered=False).op("MmBackward0", 200, 220, tid=AUTOGRAD)
    builder.op("aten::mm", 200, 210, tid=AUTOGRAD).arrow(1, forward=60, backward=200)
    launch_in(launch_in(builder, 1, 205), 2, 215)
    assert backward_of(builder, tmp_path) == ["Net_0.Linear_1"] * 2


def test_arrows_that_lead_nowhere_or_back_are_survived(tmp_path: Path) -> None:
    builder = two_linears(numbered=False).node("MmBackward0", 200, 220, tid=AUTOGRAD)
    builder.arrow(1, forward=210, backward=60, forward_tid=AUTOGRAD, backward_tid=1)  # back in time
    builder.arrow(2, forward=205, backward=205, forward_tid=AUTOGRAD)  # within one op
    builder.arrow(3, forward=500, backward=201).arrow(4, forward=60, backward=900)  # outside all ops
    builder.arrow(5, forward=60, backward=201)
    builder.events = [event for event in builder.events if event.get("id") != 5 or event["ph"] != "s"]
    assert backward_of(launch_in(builder, 1, 205), tmp_path) == [None]


def test_forward_threads_are_told_apart_by_the_numbers_on_them(tmp_path: Path) -> None:
    """The first thread has created 20 nodes, the second 4 with numbers that the first has too."""
    builder = TraceBuilder().frame("Many_0", 0, 300)
    for number in range(20):
        builder.op("aten::mul", 10 * number, 10 * number + 5, sequence=number)
    call_two_linears(builder, True, 0, 5, tid=9)
    builder.node("AddmmBackward0", 400, 420, sequence=6, forward_thread=8, tid=AUTOGRAD)
    builder.node("MulBackward0", 430, 450, sequence=6, forward_thread=1, tid=AUTOGRAD)
    for number in range(7, 20):
        builder.node("MulBackward0", 20 * number + 400, 20 * number + 410, sequence=number, tid=AUTOGRAD)
    builder = launch_in(launch_in(builder, 1, 405), 2, 435)
    assert backward_of(builder, tmp_path) == ["Net_0.Linear_0", "Many_0"]


def test_forward_threads_that_nothing_tells_apart_stay_unlinked(tmp_path: Path) -> None:
    builder = TraceBuilder().frame("A_0", 0, 10).op("aten::mm", 1, 9, sequence=1)
    builder.frame("B_0", 0, 10, tid=5).op("aten::mm", 1, 9, sequence=1, tid=5)
    builder.node("MmBackward0", 30, 40, sequence=1, tid=AUTOGRAD)
    assert backward_of(launch_in(builder, 1, 35), tmp_path) == [None]


def test_numbers_are_of_a_process(tmp_path: Path) -> None:
    builder = TraceBuilder()
    for pid in (10, 20):
        builder.frame(f"Net_{pid}", 0, 10, pid=pid).op("aten::mm", 1, 9, sequence=1, pid=pid)
        builder.node("MmBackward0", 30, 40, sequence=1, tid=AUTOGRAD, pid=pid)
        builder.launch(1, 35, tid=AUTOGRAD, pid=pid)
        for correlation in (pid + 1, pid + 2):  # of which process the device is
            builder.launch(correlation, 36, tid=AUTOGRAD, pid=pid).kernel(correlation, 50, 51, device=pid)
        builder.kernel(1, 50, 51, device=pid)
    assert backward_of(builder, tmp_path) == ["Net_10"] * 3 + ["Net_20"] * 3


def test_numbers_that_a_second_step_uses_again(tmp_path: Path) -> None:
    builder = TraceBuilder()
    for step, module in ((0, "A_0"), (1000, "B_0")):
        builder.frame(module, step, step + 10).op("aten::mm", step + 1, step + 9, sequence=1)
        builder.node("MmBackward0", step + 30, step + 40, sequence=1, tid=AUTOGRAD)
        builder.arrow(1, forward=step + 1, backward=step + 31)
        launch_in(builder, step, step + 35)
    assert backward_of(builder, tmp_path) == ["A_0", "B_0"]


def test_a_shared_module_has_each_backward_in_the_tree_of_its_own_call(tmp_path: Path) -> None:
    builder = TraceBuilder().frame("Net_0", 0, 100)
    builder.frame("A_0", 10, 40).frame("Shared_0", 15, 35).op("aten::mm", 20, 30, sequence=0)
    builder.frame("B_0", 50, 80).frame("Shared_0", 55, 75).op("aten::mm", 60, 70, sequence=1)
    for number, at in ((1, 200), (0, 300)):
        builder.node("MmBackward0", at, at + 20, sequence=number, tid=AUTOGRAD)
        launch_in(builder, number, at + 5)
    _, attribution = attributed(builder, tmp_path)
    tree = attribution.tree
    callers = [tree.nesting.parent[scope] for scope in attribution.gpu_backward_scope]
    assert [tree.modules[tree.module[scope]].name for scope in attribution.gpu_backward_scope] == [
        "Shared_0"
    ] * 2
    assert [tree.modules[tree.module[scope]].name for scope in callers] == ["B_0", "A_0"]


def test_recomputation_is_forward_and_what_surrounds_it_backward(tmp_path: Path) -> None:
    builder = TraceBuilder().frame("Net_0", 0, 100).frame("Relu_0", 10, 40)
    builder.op("aten::relu", 15, 35, sequence=5)
    builder.node("ReluBackward0", 200, 300, sequence=5, tid=AUTOGRAD)
    builder.frame("Relu_0", 220, 250, tid=AUTOGRAD)
    builder.op("aten::relu", 225, 245, sequence=0, tid=AUTOGRAD)  # a number of the autograd thread's own
    launch_in(launch_in(builder, 1, 230), 2, 270)
    relu = "Net_0.Relu_0"
    assert forward_and_backward(builder, tmp_path) == [(relu, None), (None, relu)]


def test_backward_of_what_was_recomputed_is_that_of_the_recomputed_call(tmp_path: Path) -> None:
    """Reentrant checkpointing: the recomputation creates the nodes that run, on the autograd thread."""
    builder = TraceBuilder().frame("Net_0", 0, 100).op("CheckpointFunction", 10, 90, sequence=5)
    builder.frame("Linear_0", 20, 50).op("aten::mm", 25, 45)
    builder.node("CheckpointFunctionBackward", 200, 400, sequence=5, tid=AUTOGRAD)
    builder.frame("Linear_0", 210, 250, tid=AUTOGRAD).op("aten::mm", 220, 240, sequence=0, tid=AUTOGRAD)
    builder.op("aten::mul", 255, 265, sequence=1, tid=AUTOGRAD)  # recomputed in no module of its own
    builder.node("MulBackward0", 280, 300, sequence=1, forward_thread=2, tid=AUTOGRAD)
    builder.node("MmBackward0", 310, 330, sequence=0, forward_thread=2, tid=AUTOGRAD)
    for number, at in enumerate((225, 260, 290, 320, 390)):
        launch_in(builder, number, at)
    assert forward_and_backward(builder, tmp_path) == [
        ("Net_0.Linear_0", None),
        *[(None, path) for path in ("Net_0", "Net_0", "Net_0.Linear_0", "Net_0")],
    ]


def test_backward_of_a_backward(tmp_path: Path) -> None:
    builder = TraceBuilder().frame("Net_0", 0, 10).op("aten::pow", 1, 9, sequence=5)
    builder.node("PowBackward0", 20, 40, sequence=5, tid=AUTOGRAD)
    builder.op("aten::mul", 25, 35, sequence=0, tid=AUTOGRAD)  # create_graph=True
    builder.node("MulBackward0", 50, 70, sequence=0, forward_thread=2, tid=AUTOGRAD)
    assert backward_of(launch_in(builder, 1, 60), tmp_path) == ["Net_0"]


def test_what_nothing_links_stays_outside(tmp_path: Path) -> None:
    builder = two_linears(sequence=7)
    builder.op("aten::mse_loss", 150, 160, sequence=11)
    builder.node("MseLossBackward0", 200, 220, sequence=11, tid=AUTOGRAD)  # a loss in no module
    builder.node("torch::autograd::AccumulateGrad", 230, 250, tid=AUTOGRAD)
    builder.node("MulBackward0", 260, 280, sequence=99, tid=AUTOGRAD)  # its forward is before the trace
    builder.node("AddmmBackward0", 290, 310, sequence="8", tid=AUTOGRAD)  # damaged
    builder.op("aten::add_", 320, 340, tid=AUTOGRAD)
    for number, at in enumerate((205, 235, 265, 295, 325, 400)):
        launch_in(builder, number, at)
    builder.kernel(77, 3000, 3001)
    assert backward_of(builder, tmp_path) == [None] * 7


def test_scopes_of_capture_and_a_backward_on_the_same_thread(tmp_path: Path) -> None:
    builder = TraceBuilder().scope("forward", "0", 0, 100).scope(0, "", 1, 90).scope(1, "fc", 2, 50)
    builder.op("aten::mm", 10, 40, sequence=3)
    builder.node("MmBackward0", 200, 220, sequence=3)
    assert backward_of(launch_in(builder, 1, 205, tid=1), tmp_path) == ["fc"]


@pytest.mark.parametrize("odd", ["7", 7.5, -1, 2**70, True, [7], {"a": [{}]}, None])
def test_numbers_of_any_form_cost_a_link_and_no_event(tmp_path: Path, odd: Any) -> None:
    builder = TraceBuilder().frame("Net_0", 0, 10).op("aten::mm", 1, 9, [[2, 3], [3, 4]], sequence=1)
    builder.node("MmBackward0", 20, 40, sequence=1, tid=AUTOGRAD).arrow(1, forward=1, backward=21)
    for event in builder.events:
        if "id" in event:
            event["id"] = odd
        elif event["cat"] == "cpu_op":
            event["args"].update({"Sequence number": odd, "Fwd thread id": odd})
    trace, attribution = attributed(builder, tmp_path)
    assert (len(trace.ops), trace.event_count, trace.skipped_count) == (3, len(builder.events), 0)
    shapes = [trace.signatures[code].shapes for code in trace.ops.signature]
    assert json.loads(shapes[0]) == [[2, 3], [3, 4]]
    assert attribution.has_backward == isinstance(odd, (int, str))  # those still pair the ends of an arrow


Rows = list[tuple[int, int, int, int, int]]
moments, lengths, numbers, threads = (
    st.integers(0, 24),
    st.integers(1, 9),
    st.integers(0, 1),
    st.integers(1, 2),
)
op_rows = st.lists(st.tuples(moments, lengths, numbers, st.integers(0, 2), threads), min_size=4, max_size=14)
frame_rows = st.lists(st.tuples(moments, lengths), min_size=1, max_size=5)
arrow_rows = st.lists(st.tuples(numbers, moments, moments, threads, threads), max_size=3)


@settings(max_examples=150, deadline=None)
@given(op_rows, frame_rows, arrow_rows)
def test_scopes_equal_those_of_a_loop(
    tmp_path_factory: pytest.TempPathFactory,
    ops: Rows,
    frames: list[tuple[int, int]],
    arrows: Rows,
) -> None:
    builder = TraceBuilder().op("first", -10, -9)
    for start, length, number, creator, tid in ops:
        builder.op("op", start, start + length, sequence=number, forward_thread=creator, tid=tid)
    for index, (start, length) in enumerate(frames):
        builder.frame(f"M_{index}", start, start + length)
    for number, forward, backward, forward_tid, backward_tid in arrows:
        builder.arrow(number, forward, backward, forward_tid, backward_tid)
    trace, attribution = attributed(builder, tmp_path_factory.mktemp("t"))
    assert attribution.op_backward_scope.tolist() == scopes_by_a_loop(trace, attribution)


def scopes_by_a_loop(trace: Trace, attribution: Attribution) -> list[int]:
    ops, parent = attribution.ops, attribution.op_nesting.parent
    rank = {int(op): place for place, op in enumerate(attribution.op_nesting.order)}
    everyone = range(len(ops))
    number, creator = ops.sequence.tolist(), ops.forward_thread.tolist()
    thread, start = ops.thread.tolist(), ops.start.tolist()
    forward = [op for op in everyone if number[op] >= 0 and creator[op] < 1]

    def at(where: int, time: int) -> int | None:
        around = [op for op in everyone if thread[op] == where and start[op] <= time <= ops.end[op]]
        return max(around, key=lambda op: rank[op], default=None)

    flows = list(zip(*(getattr(trace.flows, c).tolist() for c in ("arrow", "thread", "time", "is_end"))))  # noqa: B905
    pairs = []
    for arrow, where, time, is_end in flows:
        begins = [flow for flow in flows if flow[0] == arrow and not flow[3] and flow[2] <= time]
        if not is_end or not begins:
            continue
        latest = max(begin[2] for begin in begins)
        _, from_thread, from_time, _ = [begin for begin in begins if begin[2] == latest][-1]
        source, target = at(from_thread, from_time), at(where, time)
        if source is None or target is None:
            continue
        while parent[target] != NOBODY and start[parent[target]] == start[target]:
            target = int(parent[target])
        contradicts = number[source] >= 0 and number[target] >= 0 and number[source] != number[target]
        if start[source] < start[target] and not contradicts:
            pairs.append((source, target))

    def forward_thread(op: int) -> int | None:
        told = [thread[source] for source, target in pairs if creator[target] == creator[op]]
        wanted = {number[other] for other in everyone if number[other] >= 0 and creator[other] == creator[op]}
        score: dict[int, tuple[int, int, int]] = {}
        for where in set(thread):
            offered = {number[other] for other in forward if thread[other] == where}
            if where in told or wanted & offered:
                score[where] = (told.count(where), len(wanted & offered), -len(offered))
        best = max(score.values(), default=None)
        winners = [where for where in score if score[where] == best]
        return winners[0] if len(winners) == 1 else None

    link: dict[int, int] = {}
    for op in everyone:
        if number[op] >= 0 and creator[op] > 0:
            where = forward_thread(op)
            before = [f for f in forward if (thread[f], number[f]) == (where, number[op])]
            before = [f for f in before if start[f] < start[op]]
            if before:
                link[op] = max(before, key=lambda f: rank[f])
    link |= {target: source for source, target in pairs}

    def resolve(op: int) -> int:
        while op != NOBODY and attribution.op_scope[op] == NOBODY:
            op = link.get(op, int(parent[op]))
        return NOBODY if op == NOBODY else int(attribution.op_scope[op])

    return [NOBODY if attribution.op_scope[op] != NOBODY else resolve(op) for op in everyone]


def profiled(step: Callable[[], None], path: Path) -> tuple[Trace, Attribution]:
    """Two steps under torch's profiler, after one without."""
    torch = pytest.importorskip("torch")
    step()
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True, with_stack=True
    ) as profiler:
        step()
        step()
    profiler.export_chrome_trace(str(path))
    trace = read(path)
    return trace, attribute(trace)


@pytest.mark.parametrize("form", ["plain", "arrows alone", "numbers alone"])
@pytest.mark.parametrize("checkpointing", [None, "reentrant", "non-reentrant"])
def test_a_training_step_of_torch(tmp_path: Path, checkpointing: str | None, form: str) -> None:
    """Every node belongs to one module, which the type of the node or the weight's shape gives away."""
    torch = pytest.importorskip("torch")
    from torch.utils.checkpoint import checkpoint

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: Any) -> Any:
            context.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            return 2 * context.saved_tensors[0] * gradient

    class Squarer(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return Square.apply(x)

    inner = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.LayerNorm(5), torch.nn.GELU())
    outer = torch.nn.Sequential(Squarer(), torch.nn.Linear(5, 7))

    def step() -> None:
        x = torch.ones(4, 3, requires_grad=True)
        if checkpointing is None:
            outer(inner(x)).square().sum().backward()
            return
        x = checkpoint(inner, x, use_reentrant=checkpointing == "reentrant")
        outer(x).square().sum().backward()

    path = tmp_path / "torch.json"
    profiled(step, path)
    content = json.loads(path.read_text())
    if form == "numbers alone":
        content["traceEvents"] = [event for event in content["traceEvents"] if event.get("cat") != "fwdbwd"]
    for event in content["traceEvents"] if form == "arrows alone" else ():
        event.get("args", {}).pop("Sequence number", None)
    path.write_text(json.dumps(content))
    trace, attribution = read(path), attribute(read(path))
    ops = attribution.ops
    expected = {
        "NativeLayerNormBackward0": "LayerNorm_0",
        "GeluBackward0": "GELU_0",
        "SquareBackward": "Squarer_0",
        "PowBackward0": None,  # the loss
        "SumBackward0": None,
    }
    weights = {"[5, 3]": "Linear_0", "[7, 5]": "Linear_1"}
    seen = []
    for op in range(len(ops)):
        name = trace.names[ops.name[op]]
        scope = path_of(attribution, int(attribution.op_backward_scope[op]))
        module = scope and scope.rpartition(".")[2]
        if name.startswith("autograd::engine::evaluate_function: ") and not name.endswith("AccumulateGrad"):
            node = name.removeprefix("autograd::engine::evaluate_function: ")
            if node in expected:
                seen.append(node)
                assert module == expected[node], node
        elif name == "aten::mm" and attribution.op_scope[op] == NOBODY:
            shapes = trace.signatures[ops.signature[op]].shapes.decode()
            for weight in weights:  # the gradient of the input: gradient × weight
                if shapes.replace("],[", "], [").endswith(f"{weight}]"):
                    seen.append(weight)
                    assert module == weights[weight]
        elif name.endswith("AccumulateGrad"):
            assert module is None
    counts = {what: seen.count(what) for what in (*expected, *weights)}
    assert counts == dict.fromkeys(counts, 2)


def test_the_backward_of_a_backward_of_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    norm = torch.nn.LayerNorm(5)

    def step() -> None:
        x = torch.arange(20.0).reshape(4, 5).requires_grad_()
        (gradient,) = torch.autograd.grad(norm(x).square().sum(), x, create_graph=True)
        gradient.square().sum().backward()

    trace, attribution = profiled(step, tmp_path / "torch.json")
    for node in ("NativeLayerNormBackward0", "NativeLayerNormBackwardBackward0"):
        at = np.flatnonzero([trace.names[name] == node for name in attribution.ops.name])
        assert len(at) >= 2
        assert {path_of(attribution, scope) for scope in attribution.op_backward_scope[at]} == {"LayerNorm_0"}


@pytest.mark.skipif("TRACEKIT_CORPUS" not in os.environ, reason="TRACEKIT_CORPUS names no folder of traces")
def test_kernels_whose_names_give_their_module_away() -> None:
    """In this trace the modules numbered 0 have weights, those numbered 1 have none."""
    trace = read(Path(os.environ["TRACEKIT_CORPUS"]) / "mi300x_norm_layers_fwd_bwd.json.gz")
    attribution = attribute(trace)
    expected = {
        "cuComputeGradGammaBeta<": {"Net_0.RMSNorm_0"},
        "GammaBetaBackwardSimpleCUDAKernel<": {"Net_0.LayerNorm_0"},
        "GammaBetaBackwardCUDAKernel1<": {"Net_0.GroupNorm_0"},
        "ComputeBackwardFusedParamsCUDAKernel<": {"Net_0.GroupNorm_0", "Net_0.GroupNorm_1"},
        "MIOpenBatchNormBwdSpatial": {"Net_0.BatchNorm2d_0", "Net_0.InstanceNorm2d_0"},
        "batch_norm_backward_kernel<": {"Net_0.BatchNorm2d_1", "Net_0.InstanceNorm2d_1"},
        "layer_norm_grad_input_kernel<": {
            f"Net_0.{norm}_{index}" for norm in ("LayerNorm", "RMSNorm") for index in (0, 1)
        },
    }
    scopes = attribution.gpu_backward_scope.tolist()
    for kernel, modules in expected.items():
        found = [
            path_of(attribution, scope)
            for name, scope in zip(trace.gpu_events.name, scopes, strict=True)
            if kernel in trace.names[name]
        ]
        assert {module: found.count(module) for module in set(found)} == dict.fromkeys(modules, 3), kernel
