"""Prefill and decode of one trace: every median is of one of them. Numbers are those of tests/captures.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.builder import TraceBuilder
from tests.captures import DECODE_MLP_FLOPS, PREFILL_MLP_FLOPS, generate, phase, train
from tracekit.analysis import Report, analyze


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return analyze(generate().write(tmp_path / "t.json.gz"))


def test_phases_are_told_apart(report: Report) -> None:
    assert [one.phase for one in report.passes] == ["prefill", "decode", "decode", "decode"]
    prefill, decode = report.phases
    assert (prefill.name, prefill.passes, prefill.tokens, prefill.cache_length) == ("prefill", 1, 8, 0)
    assert (decode.name, decode.passes, decode.tokens, decode.cache_length) == ("decode", 3, 1, 8)
    assert (prefill.latency_us, decode.latency_us) == (450, 22.5)
    # From the scope's start: 10 + 200 + 300; in a decode its own 100 are longer than 10 + 20 + 10.
    assert (prefill.pass_wall_us, decode.pass_wall_us) == (510, 100)
    # 30, 32, 34
    assert (prefill.gpu_time_us, decode.gpu_time_us, decode.gpu_busy_us) == (500, 32, 32)
    assert (prefill.matrix_flops, decode.matrix_flops) == (2 * PREFILL_MLP_FLOPS, 2 * DECODE_MLP_FLOPS)
    assert prefill.headline_tflops == pytest.approx(2 * PREFILL_MLP_FLOPS / 450e-6 / 1e12)
    assert (prefill.headline_basis, decode.headline_basis) == ("latency", "latency")
    # 2 sequences, 8 tokens in 450 µs and 1 token in 22.5 µs
    assert prefill.tokens_per_second == pytest.approx(16 / 450e-6)
    assert decode.tokens_per_second == pytest.approx(2 / 22.5e-6)


def test_plain_figures_are_those_of_the_phase_with_most_wall_time(report: Report) -> None:
    time, flops = report.time, report.flops
    # 510 µs of prefill, 3 × 100 of decode
    assert (time.phase, time.passes, time.pass_wall_us, time.latency_us) == ("prefill", 4, 510, 450)
    assert (time.latency_min_us, time.latency_max_us, time.latency_passes) == (400, 500, 3)
    assert (time.gpu_time_per_pass_us, flops.matrix_per_pass) == (500, 2 * PREFILL_MLP_FLOPS)
    assert flops.headline_tflops == pytest.approx(2 * PREFILL_MLP_FLOPS / 450e-6 / 1e12)
    # Totals are of the whole trace.
    assert time.gpu_time_us == 500 + 30 + 32 + 34
    assert flops.matrix == 2 * PREFILL_MLP_FLOPS + 6 * DECODE_MLP_FLOPS


def test_medians_of_modules_never_mix_phases(report: Report) -> None:
    rows = {row.path: row for row in report.modules}
    mlp = rows["layers.0.mlp"]
    prefill, decode = mlp.phases
    assert (mlp.gpu_time_us, mlp.gpu_time_per_pass_us, mlp.calls) == (200 + 20 + 22 + 24, 200, 4)
    assert (prefill.phase, prefill.calls, prefill.gpu_self_time_per_pass_us) == ("prefill", 1, 200)
    assert (decode.phase, decode.calls, decode.gpu_self_time_per_pass_us) == ("decode", 3, 22)
    assert decode.cpu_time_per_pass_us == 26
    assert decode.matrix_flops_per_pass == DECODE_MLP_FLOPS
    assert decode.tflops == pytest.approx(3 * DECODE_MLP_FLOPS / 66e-6 / 1e12)
    (block, _second) = report.blocks
    assert (block.gpu_time_per_pass_us, block.ffn_flops_per_pass) == (200, PREFILL_MLP_FLOPS)
    assert [(one.gpu_time_per_pass_us, one.ffn_flops_per_pass) for one in block.phases] == [
        (200, PREFILL_MLP_FLOPS),
        (22, DECODE_MLP_FLOPS),
    ]
    # The block launches nothing of its own; its code around the MLP takes 4 of 30 µs on the CPU.
    assert [
        [(part.part, part.gpu_time_per_pass_us, part.cpu_time_per_pass_us) for part in one.parts]
        for one in block.phases
    ] == [[("mlp", 200, 26), ("residual", 0, 4)], [("mlp", 22, 26), ("residual", 0, 4)]]
    parts = {part.part: part for part in block.parts}
    assert (parts["mlp"].gpu_time_per_pass_us, parts["mlp"].cpu_time_per_pass_us) == (200, 26)
    types = {row.type: row for row in report.types}
    # Both MLPs of a pass: 200 + 300, and the median of 30, 32, 34.
    assert [one.gpu_self_time_per_pass_us for one in types["TinyMLP"].phases] == [500, 32]


def test_a_prefill_is_no_outlier_among_decodes(report: Report) -> None:
    assert not any(one.outlier for one in report.passes)
    assert not [finding for finding in report.findings if finding.id == "pass.outlier"]


def test_a_slow_decode_is_an_outlier_among_decodes(tmp_path: Path) -> None:
    builder = generate()
    builder.kernel(8, 4100, 4450, "gemm")  # the last decode now takes 450 µs, less than the prefill
    assert [one.outlier for one in analyze(builder.write(tmp_path / "t.json")).passes] == [False] * 3 + [True]


def test_slow_calls_are_judged_within_their_phase(tmp_path: Path) -> None:
    def built(slow_decode: bool) -> TraceBuilder:
        builder = TraceBuilder()
        durations = [50_000] + [100] * 4
        durations[3] = 40_000 if slow_decode else 100
        for number, duration in enumerate(durations):
            at = 100_000 * (number + 1)
            builder.scope("forward", str(number), at, at + duration).scope(0, "", at, at + duration)
        builder.metadata["tracekit"] = {
            "modules": [{"index": 0, "path": "net", "type": "Net"}],
            "pass_phases": ["prefill"] + ["decode"] * 4,
        }
        return builder

    quiet = analyze(built(False).write(tmp_path / "t.json"))
    assert not [one for one in quiet.findings if one.id == "module.slow_call"]
    (found,) = [
        one
        for one in analyze(built(True).write(tmp_path / "u.json")).findings
        if one.id == "module.slow_call"
    ]
    assert "4 calls takes 40 ms" in str(found.evidence)


def test_one_phase_looks_as_it_did(tmp_path: Path) -> None:
    builder = generate()
    stored = builder.metadata["tracekit"]
    stored["pass_phases"], stored["phases"] = ["decode"] * 4, [phase("decode", 4, 1, 8, [20.0], 1)]
    report = analyze(builder.write(tmp_path / "t.json"))
    assert (report.time.phase, report.time.latency_us) == ("decode", 20)
    # 30, 32, 34, 500
    assert report.time.gpu_time_per_pass_us == 33
    assert {row.phases for row in (*report.modules, *report.blocks, *report.types)} == {()}
    assert [row.name for row in report.phases] == ["decode"]


def test_a_trace_that_was_cut_off_keeps_the_phases_of_its_passes(tmp_path: Path) -> None:
    builder = generate()
    builder.events = [event for event in builder.events if event["ts"] < 2000]
    report = analyze(builder.write(tmp_path / "t.json"))
    assert [(row.name, row.passes) for row in report.phases] == [("prefill", 1), ("decode", 0)]
    assert (report.phases[1].pass_wall_us, report.phases[1].latency_us) == (None, 22.5)
    # Torch's count stands beside what shapes give, and shapes of a decode there are none.
    assert (report.phases[1].matrix_flops, report.phases[1].counted_flops) == (None, 2 * DECODE_MLP_FLOPS)


@pytest.mark.parametrize("shapes", [True, False])
def test_flops_come_from_shapes_or_else_from_the_counter(tmp_path: Path, shapes: bool) -> None:
    report = analyze(generate(shapes).write(tmp_path / "t.json"))
    flops = report.flops
    assert flops.source == ("shapes" if shapes else "flop_counter")
    assert flops.matrix == 2 * PREFILL_MLP_FLOPS + 6 * DECODE_MLP_FLOPS
    assert (flops.matrix_per_pass, flops.counted_per_pass) == (2 * PREFILL_MLP_FLOPS,) * 2
    assert flops.headline_tflops == pytest.approx(2 * PREFILL_MLP_FLOPS / 450e-6 / 1e12)
    rows = {row.path: row for row in report.modules}
    assert rows["layers.0"].matrix_flops == PREFILL_MLP_FLOPS + 3 * DECODE_MLP_FLOPS
    assert rows[""].phases[1].matrix_flops_per_pass == 2 * DECODE_MLP_FLOPS
    assert report.blocks[1].tflops == pytest.approx(
        (PREFILL_MLP_FLOPS + 3 * DECODE_MLP_FLOPS) / 330e-6 / 1e12
    )
    assert {row.type: row.matrix_flops for row in report.types}["TinyMLP"] == flops.matrix
    assert all((row.matrix_flops is not None) == shapes for row in report.ops)
    found = [str(one.evidence) for one in report.findings if one.id == "trace.no_shapes"]
    assert len(found) == (not shapes)
    assert all("flop_counter" in text for text in found)
    assert (flops.achieved_tflops is None) is not shapes


def test_a_module_called_twice_in_a_pass_has_the_counted_flops_once(tmp_path: Path) -> None:
    builder = TraceBuilder().scope("forward", "0", 0, 100).scope(0, "", 1, 99)
    builder.scope(1, "fc", 10, 20).scope(1, "fc", 30, 40)
    builder.metadata["tracekit"] = {
        "modules": [{"index": 0, "path": "", "type": "Net"}, {"index": 1, "path": "fc", "type": "Linear"}],
        "phases": [{"name": "forward", "module_flops": {"0": 70, "1": 60}}],
    }
    report = analyze(builder.write(tmp_path / "t.json"))
    assert {row.path: row.matrix_flops for row in report.modules} == {"": 70, "fc": 60}
    assert (report.flops.matrix, report.flops.matrix_per_pass) == (70, 70)


def test_counts_of_some_phases_only_are_no_total(tmp_path: Path) -> None:
    builder = generate(shapes=False)
    builder.metadata["tracekit"]["phases"][1] |= {"matrix_flops": None, "module_flops": None}
    report = analyze(builder.write(tmp_path / "t.json"))
    assert (report.flops.source, report.flops.matrix) == (None, None)
    assert {row.matrix_flops for row in report.modules} == {None}


@pytest.mark.parametrize(("ratio", "found"), [(1.005, 0), (1.02, 1), (0.5, 0)])
def test_fewer_flops_than_torch_counted_are_said(tmp_path: Path, ratio: float, found: int) -> None:
    builder = generate()
    builder.metadata["tracekit"]["phases"][1]["matrix_flops"] = round(ratio * 2 * DECODE_MLP_FLOPS)
    report = analyze(builder.write(tmp_path / "t.json"))
    below = [one for one in report.findings if one.id == "flops.below_counter"]
    assert len(below) == found
    assert all("(decode)" in str(one.evidence) and "98" in str(one.evidence) for one in below)


def test_training_steps(tmp_path: Path) -> None:
    report = analyze(train().write(tmp_path / "t.json"))
    time, flops = report.time, report.flops
    assert (time.latency_us, time.step_latency_us, time.steps) == (90, 250, 2)
    assert report.phases[0].tokens_per_second == pytest.approx(16 / 250e-6)  # of a step
    # The last kernels end at 330 and at 350 µs.
    assert time.step_wall_us == 340
    # Forward 2·16·64·128; backward the same for the weight and for the input.
    assert (flops.matrix_per_pass, flops.matrix_per_step) == (262_144, 3 * 262_144)
    assert flops.step_tflops == pytest.approx(3 * 262_144 / 250e-6 / 1e12)
    assert (flops.step_basis, flops.headline_basis) == ("latency", "latency")
    assert flops.headline_tflops == pytest.approx(262_144 / 90e-6 / 1e12)


def test_steps_without_latency_take_their_wall_time(tmp_path: Path) -> None:
    builder = train()
    del builder.metadata["tracekit"]
    flops = analyze(builder.write(tmp_path / "t.json")).flops
    assert (flops.step_basis, flops.matrix_per_step) == ("step_wall", 786_432)
    assert flops.step_tflops == pytest.approx(786_432 / 340e-6 / 1e12)


def gpu(**fields: Any) -> dict[str, Any]:
    return {"index": 0, "sm_clock_mhz": 1900, "max_sm_clock_mhz": 1980, "throttle_reasons": []} | fields


@pytest.mark.parametrize(
    ("after", "evidence"),
    [
        (gpu(), None),
        (gpu(throttle_reasons=["gpu_idle"], sm_clock_mhz=345), None),
        (gpu(throttle_reasons=["applications_clocks_setting"]), None),
        (
            gpu(throttle_reasons=["sw_power_cap", "gpu_idle"]),
            "GPU 0 was held back after the passes (sw_power_cap): SM clock 1900 of 1980 MHz",
        ),
        (
            gpu(throttle_reasons=["hw_slowdown"], max_sm_clock_mhz=None),
            "GPU 0 was held back after the passes (hw_slowdown)",
        ),
        (gpu(sm_clock_mhz=1782), None),  # 90 %
        (
            gpu(sm_clock_mhz=1500, index=3),
            "GPU 3 was below its full clock after the passes: SM clock 1500 of 1980 MHz",
        ),
    ],
)
def test_throttling(tmp_path: Path, after: dict[str, Any], evidence: str | None) -> None:
    builder = generate()
    builder.metadata["tracekit"]["telemetry"] = {"before": [gpu()], "after": [after]}
    report = analyze(builder.write(tmp_path / "t.json"))
    found = [str(one.evidence) for one in report.findings if one.id == "device.throttled"]
    assert found == ([] if evidence is None else [evidence])
    assert report.device.telemetry
    assert report.device.telemetry.after[0].sm_clock_mhz == after["sm_clock_mhz"]


def test_memory(tmp_path: Path) -> None:
    builder = generate()
    builder.metadata["tracekit"] |= {
        "memory": {"peak_allocated_bytes": 900, "peak_reserved_bytes": None},
        "module_memory": {
            "0": {"allocated_bytes": 500, "net_bytes": 40},
            "1": {"allocated_bytes": 300, "net_bytes": 0},
            "99": {"allocated_bytes": 1, "net_bytes": 1},
        },
    }
    report = analyze(builder.write(tmp_path / "t.json"))
    assert (report.memory.peak_allocated_bytes, report.memory.peak_reserved_bytes) == (900, None)
    rows = {row.path: row for row in report.modules}
    assert (rows[""].allocated_bytes, rows[""].allocated_self_bytes, rows[""].net_bytes) == (500, 200, 40)
    assert rows["layers.0"].allocated_self_bytes == 300
    assert rows["layers.1"].allocated_bytes is None


def test_what_capture_noticed(tmp_path: Path) -> None:
    builder = generate()
    builder.metadata["tracekit"] |= {
        "not_called": [3, 4, 77],
        "used_without_call": [{"module": 2, "by": 1}, {"module": 4, "by": None}, {"module": "x"}],
        "compiled": [0],
        "cuda_graph": True,
        "error": "out of memory",
        "redacted": "yes",
        "notes": ["shortened", 5],
    }
    report = analyze(builder.write(tmp_path / "t.json"))
    capture = report.capture
    assert capture.not_called == ("layers.1", "layers.1.mlp")
    assert [(one.module, one.by) for one in capture.used_without_call] == [
        ("layers.0.mlp", "layers.0"),
        ("layers.1.mlp", None),
    ]
    # The root has no path.
    assert capture.compiled == ("TinyForCausalLM",)
    assert (capture.cuda_graph, capture.redacted, capture.notes) == (True, False, ("shortened",))
    assert (report.findings[0].id, report.findings[0].severity) == ("capture.ended_early", "high")
    assert "out of memory" in str(report.findings[0].evidence)


def loop(rows: list[int]) -> TraceBuilder:
    """Passes of a loop that capture timed in other steps; each takes as many µs as it has rows."""
    builder = TraceBuilder()
    latencies = [1000.0]
    builder.metadata = {
        "deviceProperties": [{"id": 0, "name": "NVIDIA H100 80GB HBM3"}],
        "tracekit": {
            "model": {"name": "tiny", "class": "Tiny"},
            "modules": [{"index": 0, "path": "", "type": "Tiny"}],
            "mode": "loop",
            "latencies_us": latencies,
            "phases": [phase("forward", None, None, None, latencies, 16)],
        },
    }
    for number, length in enumerate(rows):
        at = 100_000 * (number + 1)
        builder.scope(0, "", at, at + length)
        builder.op("aten::mm", at + 1, at + length - 1, [[length, 3], [3, 4]], ["float", "float"])
        builder.launch(number + 1, at + 2).kernel(number + 1, at + 3, at + length - 2)
    return builder


def test_passes_of_several_kinds_are_said_to_be_so_and_are_no_outliers(tmp_path: Path) -> None:
    report = analyze(loop([2000, 20, 20, 20, 20]).write(tmp_path / "t.json.gz"))
    assert not any(one.outlier for one in report.passes)
    ids = [finding.id for finding in report.findings]
    assert "passes.of_several_kinds" in ids
    assert not {"pass.outlier", "module.slow_call"} & set(ids)
    # the latency is that of some other pass
    assert report.flops.headline_basis == "pass_wall"
    assert report.flops.headline_tflops == pytest.approx(2 * 20 * 12 / 20e-6 / 1e12)


def test_a_pass_of_several_kinds_that_lags_behind_its_own_is_an_outlier(tmp_path: Path) -> None:
    builder = loop([2000, 20, 20, 20, 20])
    builder.scope(0, "", 900_000, 900_500).op(
        "aten::mm", 900_001, 900_400, [[20, 3], [3, 4]], ["float", "float"]
    )
    report = analyze(builder.write(tmp_path / "t.json.gz"))
    assert [one.outlier for one in report.passes] == [False] * 5 + [True]


def test_a_cache_that_grows_makes_no_kinds(tmp_path: Path) -> None:
    """Decodes that compute more and more are of the rounds that were timed."""
    builder = generate()
    for number in range(1, 4):
        at = 1000 * (number + 1)
        builder.op("aten::bmm", at + 90, at + 95, [[1, 2, 64], [1, 64, 500 * number]], ["float", "float"])
    report = analyze(builder.write(tmp_path / "t.json.gz"))
    assert report.phases[1].headline_basis == report.flops.headline_basis == "latency"
    assert "passes.of_several_kinds" not in [finding.id for finding in report.findings]


def test_passes_of_one_kind_are_rated_by_their_latency(tmp_path: Path) -> None:
    report = analyze(loop([20, 20, 22]).write(tmp_path / "t.json.gz"))
    assert report.flops.headline_basis == "latency"
    assert "passes.of_several_kinds" not in [finding.id for finding in report.findings]
