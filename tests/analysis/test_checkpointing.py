"""What a checkpoint runs again within a backward, on miniature traces with sums worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.builder import TraceBuilder
from tracekit.analysis import Report, analyze

AUTOGRAD = 2
FLOAT = ["float", "float"]
SHAPES = [[2, 3], [3, 4]]
FLOPS = 2 * 2 * 3 * 4


def analyzed(builder: TraceBuilder, tmp_path: Path) -> Report:
    return analyze(builder.write(tmp_path / "t.json"))


def reentrant(explicit: bool) -> TraceBuilder:
    """A block checkpoints its Linear: the backward calls it again, and runs the new nodes right there."""
    builder = TraceBuilder()
    if explicit:
        builder.scope("forward", 0, 0, 100)
    builder.scope(0, "", 1, 99).scope(1, "block", 10, 90).op("CheckpointFunction", 11, 89, sequence=5)
    builder.scope(2, "block.linear", 20, 80).op("aten::mm", 21, 70, SHAPES, FLOAT)  # creates no node
    thread: dict[str, Any] = {"tid": AUTOGRAD}
    builder.node("CheckpointFunctionBackward", 200, 400, sequence=5, **thread)
    builder.scope(2, "block.linear", 210, 250, **thread)
    builder.op("aten::mm", 211, 240, SHAPES, FLOAT, sequence=9, **thread)
    builder.node("MmBackward0", 260, 300, sequence=9, forward_thread=2, **thread)
    builder.op("aten::mm", 265, 290, SHAPES, FLOAT, **thread)
    builder.node("torch::autograd::AccumulateGrad", 310, 330, **thread)
    for correlation, at in ((1, 215), (2, 270), (3, 315), (4, 350)):
        builder.launch(correlation, at, **thread)
        builder.kernel(correlation, 1000 * correlation, 1000 * correlation + 10 * correlation)
    return builder


@pytest.mark.parametrize("explicit", [True, False])
def test_backward_of_what_runs_again_stands_below_who_called_the_checkpoint(
    tmp_path: Path, explicit: bool
) -> None:
    report = analyzed(reentrant(explicit), tmp_path)
    shares = report.accounting
    assert (shares.modules_forward.us, shares.modules_backward.us, shares.outside_modules.us) == (10, 60, 30)
    rows = {row.path: row for row in report.modules}
    # the Linear's own, and 40 µs that the checkpoint launches itself
    backward = {path: (row.gpu_backward_time_us, row.gpu_backward_self_time_us) for path, row in rows.items()}
    assert backward == {"": (60, 0), "block": (60, 40), "block.linear": (20, 20)}
    assert {path: row.gpu_backward_time_per_pass_us for path, row in rows.items()} == {
        "": 60,
        "block": 60,
        "block.linear": 20,
    }
    assert {path: row.backward_kernels for path, row in rows.items()} == {
        "": 2,
        "block": 2,
        "block.linear": 1,
    }
    assert {path: row.backward_matrix_flops for path, row in rows.items()} == dict.fromkeys(rows, FLOPS)
    # what runs again is forward work of its module, and of no pass
    assert (rows["block.linear"].gpu_time_us, rows["block.linear"].matrix_flops) == (10, 2 * FLOPS)
    assert report.flops.matrix_per_pass == FLOPS
    types = {row.type: row.gpu_backward_time_us for row in report.types if row.kind == "modules"}
    assert max(filter(None, types.values())) == 60


@pytest.mark.parametrize(("inside", "launches", "counted"), [
    (("aten::detach", "detach"), False, False),
    (("aten::detach", "aten::resolve_conj"), False, True),
    (("aten::detach", "detach"), True, True),
    ((), False, True),
])  # fmt: skip
def test_the_op_with_which_a_checkpoint_stops_early_has_not_run(
    tmp_path: Path, inside: tuple[str, ...], launches: bool, counted: bool
) -> None:
    builder = TraceBuilder().frame("Net_0", 0, 100).frame("Linear_0", 10, 90)
    builder.op("aten::linear", 11, 80, SHAPES, FLOAT).op("aten::mm", 20, 70, SHAPES, FLOAT, sequence=3)
    builder.op("aten::detach", 30, 40)  # in the forward it says nothing
    builder.node("MmBackward0", 200, 300, sequence=3).frame("Linear_0", 205, 260)
    builder.op("aten::linear", 210, 250, SHAPES, FLOAT).op("aten::mm", 215, 245, SHAPES, FLOAT, sequence=7)
    for number, name in enumerate(inside):
        builder.op(name, 220 + 5 * number, 224 + 5 * number)
    if launches:
        builder.launch(1, 230).kernel(1, 400, 410)
    report = analyzed(builder, tmp_path)
    assert report.flops.matrix == FLOPS * (2 if counted else 1)
    assert report.flops.matrix_per_pass == FLOPS


def test_what_runs_again_on_the_thread_of_the_forward_is_of_no_pass(tmp_path: Path) -> None:
    builder = TraceBuilder()
    for number, at in ((3, 0), (13, 1000)):
        builder.frame("Net_0", at, at + 100).frame("Linear_0", at + 10, at + 90)
        builder.op("aten::mm", at + 20, at + 70, SHAPES, FLOAT, sequence=number)
        builder.launch(at + 1, at + 30).kernel(at + 1, at + 40, at + 50)
        builder.node("MmBackward0", at + 200, at + 400, sequence=number).frame("Net_0", at + 210, at + 300)
        builder.frame("Linear_0", at + 220, at + 290)
        builder.op("aten::mm", at + 225, at + 260, SHAPES, FLOAT, sequence=number + 2)
        builder.launch(at + 2, at + 230).kernel(at + 2, at + 240, at + 270)
    report = analyzed(builder, tmp_path)
    # even the whole model that runs again is no pass
    assert [one.matrix_flops for one in report.passes] == [FLOPS, FLOPS]
    assert [one.gpu_time_us for one in report.passes] == [10, 10]
    assert report.accounting.modules_forward.us == 80
    assert {row.gpu_time_per_pass_us for row in report.modules} == {10}


def test_threads_that_call_the_root_have_passes_of_their_own(tmp_path: Path) -> None:
    builder = TraceBuilder()
    for tid, rows, at in ((1, 2, 0), (5, 4, 10)):
        builder.frame("Net_0", at, at + 100, tid=tid).frame("Linear_0", at + 10, at + 90, tid=tid)
        builder.op("aten::mm", at + 20, at + 70, [[rows, 3], [3, 4]], FLOAT, tid=tid)
        builder.frame("Sampler_0", at + 200, at + 300, tid=tid)
        builder.op("aten::mm", at + 220, at + 270, [[1, 3], [3, 1]], FLOAT, tid=tid)
    report = analyzed(builder, tmp_path)
    assert [one.matrix_flops for one in report.passes] == [2 * 2 * 12 + 6, 2 * 4 * 12 + 6]


def test_parts_of_a_block_are_within_the_block(tmp_path: Path) -> None:
    """A layer checkpoints its MLP, which runs again without the layer."""
    builder = TraceBuilder().scope(0, "", 0, 1000)
    for layer in (0, 1):
        at = 10 + 400 * layer
        builder.scope(1 + 2 * layer, f"layers.{layer}", at, at + 100)
        builder.scope(2 + 2 * layer, f"layers.{layer}.mlp", at + 10, at + 90)
        builder.op("aten::mm", at + 20, at + 70, SHAPES, FLOAT, sequence=3 + layer)
        builder.node("MmBackward0", at + 200, at + 300, sequence=3 + layer, tid=AUTOGRAD)
        builder.scope(2 + 2 * layer, f"layers.{layer}.mlp", at + 210, at + 290, tid=AUTOGRAD)
        builder.op("aten::mm", at + 220, at + 270, SHAPES, FLOAT, sequence=8 + layer, tid=AUTOGRAD)
    report = analyzed(builder, tmp_path)
    assert [(block.matrix_flops, block.ffn_flops) for block in report.blocks] == [(FLOPS, FLOPS)] * 2
    assert {row.matrix_flops for row in report.modules if row.name == "mlp"} == {2 * FLOPS}
