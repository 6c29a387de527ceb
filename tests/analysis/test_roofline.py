"""Bounds, limits, headroom and host gaps of a miniature trace, on a device of 100 TFLOP/s and 1000 GB/s.

Every number is worked out here: a product of two 1000 × 1000 matrices of two bytes takes 2·10⁹ FLOPs, 20 µs,
and moves 6·10⁶ bytes, 6 µs; one row times such a matrix takes 2·10⁶ FLOPs, 0.02 µs, and moves
2·(1000 + 10⁶ + 1000) bytes, 2.004 µs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builder import TraceBuilder
from tracekit.analysis import Report, analyze
from tracekit.analysis.schema import Roofline

B = "c10::BFloat16"
SQUARE = [[1000, 1000], [1000, 1000]]
ROW = [[1, 1000], [1000, 1000]]
TABLE = [
    {"index": 0, "path": "", "type": "Net"},
    *(
        {"index": 1 + 3 * block + part, "path": f"layers.{block}{name}", "type": kind}
        for block in (0, 1)
        for part, (name, kind) in enumerate((("", "Layer"), (".mlp", "MLP"), (".norm", "LayerNorm")))
    ),
]


def model() -> TraceBuilder:
    """One pass of two layers, each an MLP of two products, a norm without a cost and a sum of its own.

    Kernels follow each other without a gap, except for 80 µs before the second layer's: its first launch
    comes that late.
    """
    builder = TraceBuilder()
    builder.metadata["tracekit"] = {"modules": TABLE}
    builder.scope("forward", "0", 0, 400).scope(0, "", 0, 400)
    gpu = 20.0
    for block, at in enumerate((10, 210)):
        first = 1 + 3 * block
        builder.scope(first, f"layers.{block}", at, at + 100)
        builder.scope(first + 1, f"layers.{block}.mlp", at + 5, at + 50)
        for number, (dims, us) in enumerate(((SQUARE, 40), (ROW, 20))):
            correlation = 10 * block + number
            builder.op("aten::mm", at + 5 + 10 * number, at + 14 + 10 * number, dims, [B, B])
            builder.launch(correlation, at + 7 + 10 * number)
            if block and not number:
                gpu += 80.0
            builder.kernel(correlation, gpu, gpu + us, "gemm")
            gpu += us
        builder.scope(first + 2, f"layers.{block}.norm", at + 55, at + 70)
        builder.op("mystery::norm", at + 55, at + 69, [[1000]], [B])
        builder.launch(10 * block + 2, at + 57).kernel(10 * block + 2, gpu, gpu + 80, "norm")
        gpu += 80
    return builder


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return analyze(model().write(tmp_path / "t.json"), peak_tflops=100.0, bandwidth_gbs=1000.0)


def figures(row: Roofline) -> tuple[float | None, ...]:
    return row.bound_us, row.bounded_gpu_time_us, row.headroom_us


def test_ops(report: Report) -> None:
    square, row = (
        next(one for one in report.ops if one.shapes == shapes) for shapes in map(text, (SQUARE, ROW))
    )
    assert figures(square) == pytest.approx((40, 80, 40))
    assert figures(row) == pytest.approx((4.008, 40, 35.992))
    assert (square.limited_by, row.limited_by) == ("compute", "memory")
    assert (square.bound_share, row.bound_share) == pytest.approx((0.5, 0.1002))
    assert square.gbs == pytest.approx(2 * 6e6 / 80e-6 / 1e9)
    assert square.arithmetic_intensity == pytest.approx(2e9 / 6e6)
    assert (square.bytes, row.bytes) == (2 * 6_000_000, 2 * 2_004_000)
    assert not square.beats_bound


def text(dims: list[list[int]]) -> str:
    return str(dims)


def test_a_module_has_the_sum_of_the_bounds_of_its_ops(report: Report) -> None:
    rows = {row.path: row for row in report.modules}
    assert figures(rows["layers.0.mlp"]) == pytest.approx((22.004, 60, 37.996))
    # What has no known cost is in no bound, and in no headroom.
    assert figures(rows["layers.0"]) == pytest.approx((22.004, 60, 37.996))
    assert rows["layers.0"].gpu_time_us == 140
    assert figures(rows[""]) == pytest.approx((44.008, 120, 75.992))
    assert rows["layers.0.norm"].bound_us is None
    assert rows["layers.0.norm"].limited_by is None
    # 40 of 60 µs are limited by compute, 20 by memory; of the layer most has no known limit.
    assert (rows["layers.0.mlp"].limited_by, rows["layers.0"].limited_by) == ("compute", None)
    assert rows["layers.0.mlp"].headroom_per_pass_us == pytest.approx(37.996)
    assert rows["layers.0.mlp"].headroom_share == pytest.approx(37.996 / report.passes[0].wall_us)


def test_types_blocks_and_parts(report: Report) -> None:
    types = {row.type: row for row in report.types}
    assert figures(types["MLP"]) == pytest.approx((44.008, 120, 75.992))
    assert figures(report.blocks[1]) == pytest.approx((22.004, 60, 37.996))
    parts = {part.part: part for part in report.blocks[0].parts}
    assert {name: part.gpu_time_us for name, part in parts.items()} == {"mlp": 60, "norm": 80, "residual": 0}
    assert parts["mlp"].matrix_flops == 2 * 10**9 + 2 * 10**6
    assert parts["mlp"].tflops == pytest.approx((2e9 + 2e6) / 60e-6 / 1e12)
    kinds = {(row.kind, row.part): row for row in report.block_kinds}
    assert kinds["mlp", "mlp"].gpu_time_us == 120
    assert kinds["mlp", None].gpu_time_us == 280
    assert kinds["mlp", "norm"].time_share == pytest.approx(160 / 280)
    assert kinds["mlp", "mlp"].headroom_per_pass_us == pytest.approx(75.992)


def test_gaps_are_the_host_s_where_the_launch_comes_late(report: Report) -> None:
    rows = {row.path: row for row in report.modules}
    # The GPU is idle from 160 to 240 µs; what ends that was launched at 217, in the second layer, 210 to 310.
    assert rows[""].gpu_idle_us == pytest.approx(80)
    assert (rows["layers.0"].gpu_idle_us, rows["layers.1"].gpu_idle_us) == (0, 30)
    (host,) = (row for row in report.headroom if row.kind == "launches")
    assert host.headroom_us == pytest.approx(80)


def test_headroom_adds_up_modules_of_one_place(report: Report) -> None:
    places = {row.place: row for row in report.headroom if row.kind == "modules"}
    assert set(places) == {"layers.*.mlp"}
    mlp = places["layers.*.mlp"]
    assert (mlp.modules, mlp.type, mlp.limited_by) == (2, "MLP", "compute")
    assert (mlp.gpu_time_us, mlp.bound_us, mlp.headroom_us) == pytest.approx((120, 44.008, 75.992))
    assert mlp.share == pytest.approx(75.992 / report.passes[0].wall_us)
    assert [row.headroom_us for row in report.headroom] == sorted(
        (row.headroom_us for row in report.headroom), reverse=True
    )


def test_what_has_no_cost_is_named(report: Report) -> None:
    (row,) = report.uncosted
    assert (row.kernel, row.op, row.calls, row.gpu_time_us) == ("norm", "mystery::norm", 2, 160)
    assert row.reason == "no_formula"
    assert report.flops.covered_gpu_time_share == pytest.approx(120 / 280)


def test_a_bound_that_is_beaten_is_said_to_be(tmp_path: Path) -> None:
    """A matrix that lies in a cache: one row times it in 1 µs, although reading it takes 2.004 µs."""
    builder = TraceBuilder().scope("forward", "0", 0, 100).scope(0, "", 0, 100)
    builder.op("aten::mm", 10, 20, ROW, [B, B]).launch(1, 11).kernel(1, 30, 31, "gemv")
    report = analyze(builder.write(tmp_path / "t.json"), peak_tflops=100.0, bandwidth_gbs=1000.0)
    (op,) = report.ops
    assert op.beats_bound
    assert op.bound_share == pytest.approx(2.004)
    assert op.headroom_us == 0
    assert report.modules[0].beats_bound
    assert "bound.beaten" in [finding.id for finding in report.findings]


def test_small_kernels_are_limited_by_latency(tmp_path: Path) -> None:
    """2 µs for what memory could do in 0.0068: nobody could tell whether compute or memory is at fault."""
    builder = TraceBuilder().scope("forward", "0", 0, 100).scope(0, "", 0, 100)
    builder.op("aten::mm", 10, 20, [[10, 10], [10, 10]], [B, B]).launch(1, 11).kernel(1, 12, 14, "gemm")
    report = analyze(builder.write(tmp_path / "t.json"), peak_tflops=100.0, bandwidth_gbs=1000.0)
    assert report.ops[0].limited_by == "latency"
    assert report.modules[0].limited_by == "latency"


def test_copies_to_the_host_and_collectives_have_no_bound(tmp_path: Path) -> None:
    builder = TraceBuilder().scope("forward", "0", 0, 100).scope(0, "", 0, 100)
    builder.op("aten::mm", 10, 20, SQUARE, [B, B]).launch(1, 11)
    builder.event(
        "gpu_memcpy", "Memcpy DtoH (Device -> Pinned)", 20, 60, pid=0, tid=7, args={"correlation": 1}
    )
    report = analyze(builder.write(tmp_path / "t.json"), peak_tflops=100.0, bandwidth_gbs=1000.0)
    assert report.ops[0].bound_us is None
    assert report.ops[0].limited_by == "transfer"


def test_without_figures_of_the_device_there_are_no_bounds(tmp_path: Path) -> None:
    report = analyze(model().write(tmp_path / "t.json"))
    assert all(row.bound_us is None and row.headroom_us is None for row in report.modules)
    assert [row.kind for row in report.headroom] == ["launches"]
    assert report.modules[0].bytes == 2 * (6_000_000 + 2_004_000)


def in_roofline(row: Roofline) -> tuple[float | None, float | None]:
    return row.roofline_intensity, row.roofline_tflops


def test_places_in_the_roofline(report: Report) -> None:
    square, row = (
        next(one for one in report.ops if one.shapes == shapes) for shapes in map(text, (SQUARE, ROW))
    )
    # 40 µs for 2·10⁹ FLOPs, 20 for 2·10⁶.
    assert in_roofline(square) == pytest.approx((2e9 / 6e6, 50))
    assert in_roofline(row) == pytest.approx((2e6 / 2.004e6, 0.1))
    types = {one.type: one for one in report.types}
    assert in_roofline(types["MLP"]) == pytest.approx((2.002e9 / 8.004e6, 2.002e9 / 60e-6 / 1e12))
    # What has no known cost takes none of the time here.
    assert in_roofline(types["Layer"]) == in_roofline(types["MLP"])
    assert in_roofline(types["LayerNorm"]) == (None, None)
    assert [(roof.dtype, roof.tflops, roof.gpu_time_us) for roof in report.flops.roofs] == [
        ("bf16", 100.0, 120.0)
    ]


def test_vector_flops_stand_below_the_peak_of_vectors(tmp_path: Path) -> None:
    """A product element by element: 10⁶ FLOPs, and 12·10⁶ bytes. A copy has no FLOPs, and no place."""
    builder = TraceBuilder().scope("forward", "0", 0, 100).scope(0, "", 0, 100)
    builder.op("aten::mul", 10, 20, [[1000, 1000], [1000, 1000]], ["float", "float"])
    builder.launch(1, 11).kernel(1, 12, 32, "mul")
    builder.op("aten::copy_", 40, 50, [[1000, 1000], [1000, 1000]], ["float", "float"])
    builder.launch(2, 41).kernel(2, 42, 62, "copy")
    builder.op("aten::mm", 60, 70, SQUARE, ["float", "float"])
    builder.launch(3, 61).kernel(3, 62, 92, "sm80_xmma_gemm_f32f32_tf32f32_f32")
    report = analyze(builder.write(tmp_path / "t.json"), gpu="h100 sxm")
    ops = {one.name: one for one in report.ops}
    assert in_roofline(ops["aten::mul"]) == pytest.approx((1 / 12, 1e6 / 20e-6 / 1e12))
    assert in_roofline(ops["aten::copy_"]) == (None, None)
    assert ops["aten::copy_"].bound_us is not None
    peaks = report.device.peaks or {}
    assert [(roof.dtype, roof.tflops, roof.gpu_time_us) for roof in report.flops.roofs] == [
        ("tf32", peaks["tf32"], 30.0),
        ("fp32", peaks["fp32"], 20.0),
    ]


def test_a_causal_mask_lowers_an_op_in_the_roofline(tmp_path: Path) -> None:
    """Nothing that keeps its bound stands above the roof: the FLOPs that a mask leaves out are no work."""
    builder = TraceBuilder().scope("forward", "0", 0, 100).scope(0, "", 0, 100)
    shape, none = [1, 1, 1000, 100], ["", "", ""]
    types = [B, B, B, "Scalar", "Scalar", "Scalar", ""]
    concrete = [*none, "0.", "True", "False", ""]
    builder.op("aten::_scaled_dot_product_flash_attention", 10, 20, [shape] * 3 + [[]] * 4, types, concrete)
    builder.launch(1, 11).kernel(1, 12, 15, "flash")
    report = analyze(builder.write(tmp_path / "t.json"), peak_tflops=100.0, bandwidth_gbs=1000.0)
    (op,) = report.ops
    # 4·100 FLOPs for each of 1000·1001/2 pairs; all 10⁶ would need 4 µs at the peak, and it took 3.
    assert op.matrix_flops == 400_000_000
    assert op.roofline_tflops == pytest.approx(400 * 500_500 / 3e-6 / 1e12)
    assert not op.beats_bound


def test_ops_say_where_most_of_their_time_is(report: Report) -> None:
    where = {(one.name, one.shapes): (one.launched_by, one.place) for one in report.ops}
    assert where["aten::mm", text(SQUARE)] == ("modules", "layers.*.mlp")
    assert where["mystery::norm", text([[1000]])] == ("modules", "layers.*.norm")


def test_an_op_in_several_places_stands_where_it_takes_longest(tmp_path: Path) -> None:
    """12 µs in the forward of `net`, 5 in its backward and 20 in no module; then less outside."""

    def built(outside: float) -> TraceBuilder:
        builder = TraceBuilder()
        builder.metadata["tracekit"] = {"modules": [{"index": 0, "path": "net", "type": "Net"}]}
        builder.scope("forward", "0", 0, 100).scope(0, "net", 0, 100)
        builder.op("aten::relu", 5, 9, sequence=7).op("aten::mm", 10, 20, SQUARE, [B, B])
        builder.launch(1, 11).kernel(1, 1000, 1012, "gemm")
        builder.node("ReluBackward0", 200, 230, sequence=7, tid=2)
        builder.op("aten::mm", 205, 215, SQUARE, [B, B], tid=2)
        builder.launch(2, 206, tid=2).kernel(2, 1100, 1105, "gemm")
        builder.op("aten::mm", 300, 310, SQUARE, [B, B])
        return builder.launch(3, 301).kernel(3, 1200, 1200 + outside, "gemm")

    for us, expected in ((20, ("outside_modules", None)), (3, ("modules", "net"))):
        report = analyze(built(us).write(tmp_path / "t.json"))
        (op,) = (one for one in report.ops if one.name == "aten::mm")
        assert (op.launched_by, op.place) == expected
    builder = built(3)
    builder.kernel(2, 1300, 1310, "gemm")  # the backward now takes 15
    (op,) = (one for one in analyze(builder.write(tmp_path / "t.json")).ops if one.name == "aten::mm")
    assert (op.launched_by, op.place) == ("modules_backward", "net")
