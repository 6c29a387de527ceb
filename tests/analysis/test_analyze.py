"""A whole report of a miniature trace, every number worked out by hand from its few events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.builder import TraceBuilder
from tracekit.analysis import Report, analyze

B = "c10::BFloat16"


def hybrid() -> TraceBuilder:
    """Two passes of a model with an MLP block and an attention block; times differ by 10 µs per kernel."""
    builder = TraceBuilder()
    builder.metadata = {
        "deviceProperties": [{"id": 0, "name": "NVIDIA H100 80GB HBM3", "totalGlobalMem": 85018279936}],
        "tracekit": {
            "model": {
                "name": "tiny",
                "class": "TinyForCausalLM",
                "config": {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2},
            },
            "modules": [
                {"index": 0, "path": "", "type": "TinyForCausalLM", "parameters": 1000},
                {"index": 1, "path": "layers.0", "type": "TinyBlock", "parameters": 400},
                {"index": 2, "path": "layers.0.mlp", "type": "TinyMLP", "parameters": 390},
                {"index": 3, "path": "layers.1", "type": "TinyBlock", "parameters": 600},
                {"index": 4, "path": "layers.1.attn", "type": "TinyAttention", "parameters": 590},
            ],
            "latencies_us": [300.0, 250.0, 260.0],
            "batch_size": 2,
            "sequence_length": 8,
            "dtype": "bfloat16",
            "mode": "forward",
        },
    }
    heads = [[2, 4, 8, 16]] * 3
    for number, at in enumerate((1000, 2000)):
        extra = 10 * number
        builder.scope("forward", str(number), at, at + 200).scope(0, "", at + 1, at + 190)
        builder.scope(1, "layers.0", at + 10, at + 50).scope(2, "layers.0.mlp", at + 12, at + 48)
        builder.op("aten::linear", at + 13, at + 30, [[16, 64], [128, 64], []], [B, B, ""])
        builder.op("aten::mm", at + 14, at + 28, [[16, 64], [64, 128]], [B, B])
        builder.launch(10 * number, at + 15).kernel(10 * number, at + 100, at + 120 + extra, "gemm")
        builder.scope(3, "layers.1", at + 60, at + 150).scope(4, "layers.1.attn", at + 62, at + 140)
        builder.op("aten::_scaled_dot_product_flash_attention", at + 63, at + 100, heads, [B] * 3)
        builder.launch(10 * number + 1, at + 70).kernel(10 * number + 1, at + 140, at + 150 + extra, "flash")
        builder.op("mylib::add", at + 145, at + 149, [[2, 8, 64]] * 2, [B] * 2)  # in layers.1 itself
        builder.launch(10 * number + 2, at + 146).kernel(10 * number + 2, at + 220, at + 225 + extra, "add")
    builder.range("Optimizer.step", 3000, 3100).launch(90, 3010).kernel(90, 3050, 3060, "adam")
    return builder


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return analyze(hybrid().write(tmp_path / "t.json.gz"))


MLP_FLOPS = 2 * 16 * 64 * 128
ATTENTION_FLOPS = 4 * 2 * 4 * 8 * 8 * 16


def test_accounting(report: Report) -> None:
    accounting = report.accounting
    assert (accounting.gpu_events, accounting.gpu_time_us) == (7, 35 + 65 + 10)
    assert (accounting.modules_forward.events, accounting.modules_forward.us) == (6, 100)
    assert (accounting.outside_modules.events, accounting.outside_modules.us) == (1, 10)


def test_passes(report: Report) -> None:
    first, second = report.passes
    # From the scope's start to the end of the last kernel: 225 and 2235 - 2000.
    assert (first.wall_us, second.wall_us) == (225, 235)
    assert (first.gpu_time_us, second.gpu_time_us) == (35, 65)
    # 100–120, 140–150, 220–225
    assert (first.gpu_busy_us, first.gpu_idle_us) == (35, 125 - 35)
    assert first.matrix_flops == MLP_FLOPS + ATTENTION_FLOPS
    assert (report.time.passes, report.time.pass_wall_us, report.time.gpu_time_per_pass_us) == (2, 230, 50)


def test_modules(report: Report) -> None:
    rows = {row.path: row for row in report.modules}
    assert [row.gpu_time_us for row in report.modules] == sorted(
        (row.gpu_time_us for row in report.modules), reverse=True
    )
    root, attention, block = rows[""], rows["layers.1.attn"], rows["layers.1"]
    assert (root.name, root.type, root.parent, root.block, root.calls) == ("TinyForCausalLM",) * 2 + (
        None,
        None,
        2,
    )
    assert (root.gpu_time_us, root.gpu_self_time_us, root.gpu_time_per_pass_us) == (100, 0, 50)
    assert (block.gpu_time_us, block.gpu_self_time_us, block.kernels) == (30 + 20, 5 + 15, 4)
    assert (attention.parent, attention.block, attention.parameters) == ("layers.1", "layers.1", 590)
    assert (attention.gpu_time_us, attention.gpu_time_per_pass_us) == (10 + 20, 15)
    assert attention.matrix_flops == 2 * ATTENTION_FLOPS
    assert attention.tflops == pytest.approx(2 * ATTENTION_FLOPS / 30e-6 / 1e12)
    assert (attention.cpu_time_us, block.cpu_time_us) == (2 * 78, 2 * 90)
    # [16, 64] @ [64, 128] in bf16, in each of two passes
    assert rows["layers.0.mlp"].bytes == 2 * 2 * (16 * 64 + 64 * 128 + 16 * 128)
    assert all(row.gpu_backward_time_us is None for row in report.modules)


def training() -> TraceBuilder:
    """Two steps of a model of two linear layers in a block; each step's backward runs on its own thread."""
    builder = TraceBuilder()
    shapes = {"grad": [[8, 16], [16, 4]], "input": [[16, 8], [8, 4]]}
    for step, at in enumerate((0, 1000)):
        builder.frame("Net_0", at, at + 100).frame("Block_0", at + 5, at + 95)
        for index in (0, 1):
            start, number = at + 10 + 40 * index, 10 * step + index
            builder.frame(f"Linear_{index}", start, start + 30)
            builder.op("aten::mm", start + 5, start + 25, [[8, 4], [4, 16]], [B, B], sequence=number)
            builder.launch(4 * number, start + 10).kernel(4 * number, start + 400, start + 410)
            back = at + 300 - 100 * index
            builder.node("MmBackward0", back, back + 50, sequence=number, tid=2)
            for n, dims in enumerate(shapes.values()):
                inner = back + 10 + 15 * n
                builder.op("aten::mm", inner, inner + 10, dims, [B, B], tid=2)
                correlation = 4 * number + 1 + n
                # 3 and 5 µs in the first layer's backward, 6 and 10 in the second's
                builder.launch(correlation, inner + 2, tid=2)
                builder.kernel(correlation, back + 500, back + 500 + (3, 5)[n] * (1 + index))
        builder.node("torch::autograd::AccumulateGrad", at + 400, at + 420, tid=2)
        builder.launch(900 + step, at + 405, tid=2).kernel(900 + step, at + 950, at + 952)
    return builder


def test_backward(tmp_path: Path) -> None:
    report = analyze(training().write(tmp_path / "t.json.gz"))
    shares = report.accounting
    assert (shares.modules_forward.events, shares.modules_forward.us) == (4, 40)
    assert (shares.modules_backward.events, shares.modules_backward.us) == (8, 2 * (3 + 5 + 6 + 10))
    assert (shares.outside_modules.events, shares.outside_modules.us) == (2, 4)  # adding to the gradients
    assert shares.gpu_time_us == 40 + 48 + 4
    rows = {row.name: row for row in report.modules}
    first, second, block, root = (rows[name] for name in ("Linear_0", "Linear_1", "Block_0", "Net_0"))
    assert [row.gpu_backward_time_us for row in (first, second, block, root)] == [16, 32, 48, 48]
    assert [row.gpu_backward_self_time_us for row in (first, second, block, root)] == [16, 32, 0, 0]
    assert [row.gpu_backward_time_per_pass_us for row in (first, second, root)] == [8, 16, 24]
    assert [row.backward_kernels for row in (first, second, root)] == [4, 4, 8]
    # The gradients of weight and input each take as many multiplications as the forward.
    assert first.matrix_flops == 2 * 2 * 8 * 4 * 16
    assert (first.backward_matrix_flops, root.backward_matrix_flops) == (
        2 * 2 * 2 * 8 * 4 * 16,
        8 * 2 * 8 * 64,
    )
    assert [row.gpu_time_us for row in (first, second, block, root)] == [
        20,
        20,
        40,
        40,
    ]  # as without backward
    types = {row.type: row for row in report.types}
    assert (types["Linear"].gpu_backward_time_us, types["Linear"].gpu_backward_self_time_us) == (48, 48)
    assert (types["Block"].gpu_backward_time_us, types["Block"].gpu_backward_self_time_us) == (48, 0)
    assert types["modules_backward"].gpu_self_time_us == 48
    assert types["modules_backward"].matrix_flops == root.backward_matrix_flops
    assert "outside_modules" in types
    assert types["outside_modules"].matrix_flops == 0
    assert sum(row.gpu_self_time_us for row in report.types) == report.time.gpu_time_us


def test_a_module_without_a_share_in_the_backward_has_none_and_without_any_it_is_unknown(
    tmp_path: Path,
) -> None:
    builder = training().frame("Metric_0", 110, 120)
    rows = {row.name: row for row in analyze(builder.write(tmp_path / "t.json")).modules}
    assert (rows["Metric_0"].gpu_backward_time_us, rows["Metric_0"].backward_kernels) == (0.0, 0)
    builder.events = [event for event in builder.events if event["tid"] != 2]
    rows = {row.name: row for row in analyze(builder.write(tmp_path / "u.json")).modules}
    assert (rows["Linear_0"].gpu_backward_time_us, rows["Linear_0"].backward_matrix_flops) == (None, None)


def test_backward_of_blocks(tmp_path: Path) -> None:
    builder = TraceBuilder()
    builder.scope("forward", "0", 0, 100).scope(0, "", 1, 99)
    for index in (0, 1):
        start = 10 + 40 * index
        builder.scope(1 + index, f"layers.{index}", start, start + 30)
        builder.scope(3 + index, f"layers.{index}.mlp", start + 2, start + 28)
        builder.op("aten::mm", start + 5, start + 25, sequence=index)
        builder.launch(index, start + 10).kernel(index, 500 + start, 510 + start)
        builder.node("MmBackward0", 200 + start, 230 + start, sequence=index)
        builder.launch(2 + index, 210 + start).kernel(2 + index, 600 + start, 603 + start + index)
    kinds = ["Net", "Layer", "Layer", "Mlp", "Mlp"]
    paths = ["", "layers.0", "layers.1", "layers.0.mlp", "layers.1.mlp"]
    builder.metadata["tracekit"] = {
        "modules": [
            {"index": i, "path": path, "type": kind}
            for i, (path, kind) in enumerate(zip(paths, kinds, strict=True))
        ]
    }
    blocks = analyze(builder.write(tmp_path / "t.json")).blocks
    assert [(block.gpu_time_us, block.gpu_backward_time_us) for block in blocks] == [(10, 3), (10, 4)]


def test_types_sum_to_the_gpu_time(report: Report) -> None:
    rows = {row.type: row for row in report.types}
    assert rows["TinyBlock"].modules == 2
    assert rows["TinyBlock"].calls == 4
    assert (rows["TinyBlock"].gpu_time_us, rows["TinyBlock"].gpu_self_time_us) == (100, 20)
    assert (rows["outside_modules"].kind, rows["outside_modules"].gpu_self_time_us) == ("outside_modules", 10)
    assert sum(row.gpu_self_time_us for row in report.types) == report.time.gpu_time_us


def test_blocks(report: Report) -> None:
    mlp, attention = report.blocks
    assert (mlp.stack, mlp.index, mlp.kind, mlp.parameters) == ("layers", 0, "mlp", 400)
    assert (attention.index, attention.kind, attention.gpu_time_per_pass_us) == (1, "attention", 25)
    assert (mlp.ffn_flops, mlp.attention_flops) == (2 * MLP_FLOPS, 0)
    assert (attention.ffn_flops, attention.attention_flops) == (0, 2 * ATTENTION_FLOPS)
    assert attention.matrix_flops_per_pass == ATTENTION_FLOPS


def test_ops_count_once(report: Report) -> None:
    rows = {row.name: row for row in report.ops}
    assert rows["aten::linear"].matrix_flops is None  # its mm counts
    assert rows["aten::mm"].matrix_flops == 2 * MLP_FLOPS
    assert rows["aten::linear"].gpu_time_us == rows["aten::mm"].gpu_time_us == 20 + 30
    assert rows["aten::linear"].gpu_self_time_us == 0
    assert rows["mylib::add"].matrix_flops is None
    assert rows["aten::mm"].bytes == 2 * 2 * (16 * 64 + 64 * 128 + 16 * 128)
    # 26624 bytes at 3350 GB/s take longer than the FLOPs at 989 TFLOP/s.
    assert rows["aten::mm"].bound_us == pytest.approx(rows["aten::mm"].bytes / 3350e9 * 1e6, rel=1e-3)


def test_flops(report: Report) -> None:
    flops = report.flops
    matrix = 2 * (MLP_FLOPS + ATTENTION_FLOPS)
    assert (flops.matrix, flops.matrix_per_pass) == (matrix, matrix // 2)
    assert flops.covered_gpu_time_share == pytest.approx(80 / 100)  # mm and attention; add has no cost yet
    # mm and attention ran for 20 + 30 and 10 + 20 µs; the add has no matrix FLOPs.
    assert flops.achieved_tflops == pytest.approx(matrix / 80e-6 / 1e12)
    assert flops.peak_share == pytest.approx(flops.achieved_tflops / 989.4, rel=1e-3)
    assert flops.headline_basis == "latency"
    assert flops.headline_tflops == pytest.approx(matrix / 2 / 260e-6 / 1e12)


def test_model_card(report: Report) -> None:
    model = report.model
    assert (model.name, model.class_, model.parameters) == ("tiny", "TinyForCausalLM", 1000)
    assert (model.hidden_size, model.head_dim, model.attention_type, model.num_blocks) == (64, 16, "GQA", 2)
    assert (model.batch_size, model.sequence_length, model.dtype) == (2, 8, "bfloat16")
    assert model.intermediate_size is None


def test_regions(report: Report) -> None:
    (region,) = report.regions
    assert (region.name, region.calls, region.cpu_time_us, region.gpu_time_us) == (
        "Optimizer.step",
        1,
        100,
        10,
    )


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"n_embd": 768, "n_head": 12, "n_inner": None}, (768, None, 12, 12, 64, "MHA")),
        ({"d_model": 512, "d_ff": 2048, "num_heads": 8, "d_kv": 64}, (512, 2048, 8, 8, 64, "MHA")),
        (
            {"text_config": {"d_model": 2048, "n_heads": 16, "num_kv_heads": 1, "attention_head_dim": 256}},
            (2048, None, 16, 1, 256, "MQA"),
        ),
        ({"hidden_size": 4544, "n_head": 71, "multi_query": True}, (4544, None, 71, 1, 64, "MQA")),
        (
            {"hidden_size": 7168, "num_attention_heads": 128, "kv_lora_rank": 512, "head_dim": 64},
            (7168, None, 128, 128, 64, "MLA"),
        ),
        ({"hidden_size": 768, "state_size": 16}, (768, None, None, None, None, None)),
    ],
)  # fmt: skip
def test_names_that_architectures_use(
    tmp_path: Path, config: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    builder = hybrid()
    builder.metadata["tracekit"]["model"]["config"] = config
    model = analyze(builder.write(tmp_path / "t.json")).model
    assert expected == (
        model.hidden_size,
        model.intermediate_size,
        model.num_attention_heads,
        model.num_key_value_heads,
        model.head_dim,
        model.attention_type,
    )


@pytest.mark.parametrize("shapes", [None, "2,3;3,4"])
def test_without_shapes_flops_are_unknown(tmp_path: Path, shapes: str | None) -> None:
    """Nor do they tell anything in the words of another profiler."""
    builder = hybrid()
    for event in builder.events:
        if event.get("args", {}).pop("Input Dims", None) and shapes:
            event["args"]["Input Dims"] = shapes
    report = analyze(builder.write(tmp_path / "t.json"))
    assert report.flops.matrix is None
    assert {row.matrix_flops for row in (*report.modules, *report.ops, *report.blocks)} == {None}
    assert any(finding.id == "trace.no_shapes" for finding in report.findings)


def test_unknown_device_gives_no_percentages_and_says_why(tmp_path: Path) -> None:
    builder = hybrid()
    builder.metadata["deviceProperties"][0]["name"] = "NVIDIA Graphics Device"
    path = builder.write(tmp_path / "t.json")
    report = analyze(path)
    assert report.device.peaks is None
    assert report.flops.peak_share is None
    assert "NVIDIA Graphics Device" in str(report.device.note)
    named = analyze(path, peak_tflops=100.0, bandwidth_gbs=1000.0)
    assert named.flops.peak_share == pytest.approx(named.flops.achieved_tflops / 100)


def test_a_pass_and_a_call_that_take_far_longer_are_named(tmp_path: Path) -> None:
    builder = TraceBuilder()
    for at, length in ((0, 500_000), (600_000, 1000), (700_000, 1000), (800_000, 1000)):
        builder.frame("Net_0", at, at + length).frame("Norm_0", at + 1, at + length - 1)
        builder.launch(at + 1, at + 10).kernel(at + 1, at + 20, at + 30)
    report = analyze(builder.write(tmp_path / "t.json"))
    assert [row.outlier for row in report.passes] == [True, False, False, False]
    assert report.time.pass_wall_us == 1000
    slow = [finding.module for finding in report.findings if finding.id == "module.slow_call"]
    assert slow == ["Net_0.Norm_0"]


def test_gpu_time_of_a_module_within_itself_counts_once(tmp_path: Path) -> None:
    builder = TraceBuilder().frame("Net_0", 0, 100).frame("Net_0", 10, 50).launch(1, 20).kernel(1, 30, 37)
    (row,) = analyze(builder.write(tmp_path / "t.json")).modules
    assert (row.calls, row.gpu_time_us, row.gpu_self_time_us, row.cpu_time_us) == (2, 7, 7, 100)


def test_shapes_of_a_pretty_printed_trace_are_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps(hybrid().document(), indent=2))
    rows = {row.name: row.shapes for row in analyze(path).ops}
    assert rows["aten::mm"] == "[[16, 64], [64, 128]]"


def test_heads_of_a_scan_are_no_attention_heads(tmp_path: Path) -> None:
    builder = TraceBuilder().scope("forward", "0", 0, 100).scope(0, "", 1, 90)
    builder.scope(1, "layers.0", 2, 40).scope(2, "layers.0.mixer", 3, 30)
    builder.scope(3, "layers.1", 42, 80).scope(4, "layers.1.mixer", 43, 70)
    kinds = ["Mamba2ForCausalLM", "Mamba2Block", "Mamba2Mixer", "Mamba2Block", "Mamba2Mixer"]
    paths = ["", "layers.0", "layers.0.mixer", "layers.1", "layers.1.mixer"]
    builder.metadata["tracekit"] = {
        "model": {"config": {"hidden_size": 64, "num_heads": 8, "head_dim": 16}},
        "modules": [
            {"index": i, "path": path, "type": kind}
            for i, (path, kind) in enumerate(zip(paths, kinds, strict=True))
        ],
    }
    report = analyze(builder.write(tmp_path / "t.json"))
    assert [block.kind for block in report.blocks] == ["mamba", "mamba"]
    assert (report.model.num_attention_heads, report.model.head_dim) == (None, None)
    assert report.model.attention_type == "none"


def test_flops_of_a_small_part_of_the_gpu_time_are_said_to_be_partial(tmp_path: Path) -> None:
    builder = hybrid()
    assert all(
        finding.id != "flops.partial" for finding in analyze(builder.write(tmp_path / "t.json")).findings
    )
    builder.launch(70, 1055).kernel(70, 5000, 9000, "engine_attention")
    assert any(
        finding.id == "flops.partial" for finding in analyze(builder.write(tmp_path / "u.json")).findings
    )


def test_damage_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps(hybrid().document())[:-200])
    report = analyze(path)
    assert "cut off" in " ".join(str(f.evidence) for f in report.findings if f.id == "trace.damaged")


def test_a_pass_that_launched_nothing_has_no_rate(tmp_path: Path) -> None:
    builder = hybrid()
    builder.events = [
        event for event in builder.events if event["cat"] != "kernel" or event["name"] == "adam"
    ]
    flops = analyze(builder.write(tmp_path / "t.json")).flops
    assert flops.matrix_per_pass == MLP_FLOPS + ATTENTION_FLOPS
    assert (flops.headline_tflops, flops.headline_basis, flops.achieved_tflops) == (None, None, None)


@pytest.mark.parametrize(
    "odd", [None, [], ["x"], {"id": 0}, [{"id": [], "name": {}}], [{"id": 0, "name": []}]]
)
def test_device_properties_of_any_form_are_survived(tmp_path: Path, odd: Any) -> None:
    builder = hybrid()
    builder.metadata["deviceProperties"] = odd
    assert analyze(builder.write(tmp_path / "t.json")).device.peaks is None


def test_cpu_self_times_of_scopes_that_overlap_in_part_add_up(tmp_path: Path) -> None:
    """Coroutines that take turns: of 100 µs the first call has 0–60 and the second 30–90, from 30 on."""
    trace = TraceBuilder().frame("Model_0", 0, 100).frame("Linear_0", 0, 60).frame("Linear_1", 30, 90)
    report = analyze(trace.write(tmp_path / "t.json"))
    rows = {row.name: row.cpu_self_time_us for row in report.modules}
    assert rows == {"Model_0": 10, "Linear_0": 30, "Linear_1": 60}
    assert sum(row.cpu_self_time_us for row in report.types) == 100
