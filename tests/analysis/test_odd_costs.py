"""What no trace should hold, and some do: sizes, types and times that arithmetic on costs must survive."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builder import TraceBuilder
from tracekit import UserError, analyze
from tracekit.costs import Cost, register, restored
from tracekit.report.i18n import Locale

B = "c10::BFloat16"
SQUARE = [[64, 64], [64, 64]]


def one_pass(builder: TraceBuilder | None = None) -> TraceBuilder:
    return (builder or TraceBuilder()).scope("forward", "0", 0, 1000).scope(0, "", 0, 1000)


def figures(builder: TraceBuilder, path: Path, **options: object) -> object:
    return analyze(builder.write(path / "t.json"), gpu="H100 SXM", **options).data  # type: ignore[arg-type]


@pytest.mark.parametrize("column", ["Input Dims", "Input type", "Concrete Inputs"])
def test_a_byte_that_is_no_text(tmp_path: Path, column: str) -> None:
    builder = one_pass().op("aten::mm", 1, 10, SQUARE, [B, B], ["", ""]).launch(1, 2).kernel(1, 3, 9)
    document = builder.document()
    document["traceEvents"][2]["args"][column] = ["Q?"]
    (tmp_path / "t.json").write_bytes(json.dumps(document).encode().replace(b"Q?", b"Q\xff"))
    assert analyze(tmp_path / "t.json").data.accounting.gpu_events == 1


@pytest.mark.parametrize("types", [[5, 5], [None, {}], [["float"], B]])
def test_types_that_are_no_text(tmp_path: Path, types: list[object]) -> None:
    builder = one_pass().op("aten::mm", 1, 10, SQUARE, types).launch(1, 2).kernel(1, 3, 9)
    report = analyze(builder.write(tmp_path / "t.json"), gpu="H100 SXM").data
    assert report.flops.matrix == 2 * 64**3
    assert report.ops[0].bound_us is None


def test_sums_that_64_bits_do_not_hold(tmp_path: Path) -> None:
    builder = one_pass()
    for number in range(1500):
        builder.op("aten::mm", number / 2, number / 2 + 0.4, [[131072, 131072]] * 2, [B, B])
    builder.op("aten::mm", 900, 910, SQUARE, [B, B]).launch(1, 901).kernel(1, 905, 909)
    report = analyze(builder.write(tmp_path / "t.json"), gpu="H100 SXM")
    assert report.data.flops.matrix == 2 * 64**3  # what is absurd has no cost, and the rest keeps its own
    report.save(tmp_path / "out", ["csv", "md", "json"])


def test_shapes_of_more_elements_than_there_are(tmp_path: Path) -> None:
    builder = one_pass()
    for number in range(4):
        at = 10.0 * number
        builder.op("aten::mul", at, at + 9, [[1 << 39] * 30] * 2, [B, B])
        builder.launch(number, at + 1).kernel(number, at + 20, at + 25)
    assert analyze(builder.write(tmp_path / "t.json"), gpu="H100 SXM").data.flops.bytes == 0


def test_a_pass_that_takes_no_time(tmp_path: Path) -> None:
    builder = TraceBuilder().scope(0, "", 100, 100).launch(1, 100, 100).launch(2, 100, 100)
    builder.kernel(1, 50, 60).kernel(2, 60, 80)
    assert analyze(builder.write(tmp_path / "t.json"), gpu="H100 SXM").data.time.passes == 1


def test_an_op_whose_launch_lies_behind_its_pass(tmp_path: Path) -> None:
    builder = TraceBuilder().scope("forward", "0", 0, 20).scope(0, "", 0, 20)
    builder.op("aten::mm", 10, 100, [[512, 512]] * 2, ["float"] * 2).launch(1, 50).kernel(1, 60, 90)
    assert analyze(builder.write(tmp_path / "t.json"), gpu="A100 SXM4 80GB").data.accounting.gpu_events == 1


def nested_blocks() -> TraceBuilder:
    """The first block calls the second, whose attention takes 10 of 13 µs; its own attention takes 10."""
    paths = ["", "layers.0", "layers.0.attn", "layers.1", "layers.1.attn"]
    builder = one_pass()
    builder.metadata["tracekit"] = {
        "modules": [
            {"index": index, "path": path, "type": "Attention" if path.endswith("attn") else "Layer"}
            for index, path in enumerate(paths)
        ]
    }
    builder.scope(1, paths[1], 0, 500).scope(2, paths[2], 10, 100)
    builder.scope(3, paths[3], 200, 400).scope(4, paths[4], 210, 300)
    for number, (at, us) in enumerate(((20, 10), (220, 10), (320, 3))):
        builder.launch(number, at).kernel(number, at + 5, at + 5 + us)
    return builder


def test_parts_add_up_in_blocks_that_call_each_other(tmp_path: Path) -> None:
    report = analyze(nested_blocks().write(tmp_path / "t.json")).data
    parts = {block.path: {part.part: part.gpu_time_us for part in block.parts} for block in report.blocks}
    assert parts["layers.0"] == {"attention": 10, "residual": 13}
    assert parts["layers.1"] == {"attention": 10, "residual": 3}
    for block in report.blocks:
        assert block.gpu_time_us == sum(part.gpu_time_us for part in block.parts)


def test_devices_wait_beside_each_other(tmp_path: Path) -> None:
    builder = TraceBuilder().scope("forward", "0", 0, 100).scope(0, "", 0, 100)
    for device in range(4):
        for number, at in enumerate((1, 90)):
            builder.launch(10 * device + number, at).kernel(
                10 * device + number, at + 2, at + 5, device=device
            )
    report = analyze(builder.write(tmp_path / "t.json"), gpu="H100 SXM").data
    (launches,) = (row for row in report.headroom if row.kind == "launches")
    assert launches.headroom_us == 92 - 6
    assert {row.kind for row in report.headroom} == {"launches"}


@pytest.mark.parametrize("figure", [float("nan"), float("inf"), -1.0, 0.0, 1e300])
@pytest.mark.parametrize("option", ["peak_tflops", "bandwidth_gbs"])
def test_figures_that_no_device_has(tmp_path: Path, option: str, figure: float) -> None:
    with pytest.raises(UserError, match="peak and bandwidth"):
        figures(one_pass(), tmp_path, **{option: figure})


def test_numbers_that_nobody_reads() -> None:
    locale = Locale("ru")
    assert (locale.count(10**40), locale.fixed(1.5e40)) == ("1e+40", "1,5e+40")


def test_formulas_are_of_one_analysis(tmp_path: Path) -> None:
    builder = TraceBuilder().op("once::op", 0, 10, [[2]], ["float"]).launch(1, 1).kernel(1, 5, 9)
    trace = builder.write(tmp_path / "t.json")
    (tmp_path / "costs.py").write_text(
        "from tracekit.costs import Cost, register\n"
        "register('once::op')(lambda call: Cost(matrix=30, dtype='float'))\n"
    )
    counts = [
        analyze(trace, costs_file=file).data.flops.matrix for file in (None, tmp_path / "costs.py", None)
    ]
    assert counts == [0, 30, 0]


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    builder = TraceBuilder().op("numpy::op", 0, 10, [[2]], ["float"]).launch(1, 1).kernel(1, 5, 9)
    with restored():
        register("numpy::op")(lambda call: Cost(matrix=np.prod([5, 6]), bytes=np.int64(7)))
        report = analyze(builder.write(tmp_path / "t.json")).data
    assert (report.flops.matrix, report.flops.bytes) == (30, 7)
