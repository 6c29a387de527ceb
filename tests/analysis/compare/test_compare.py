"""Comparisons of traces whose times are set: differences, shares, kernels, phases, and what is left out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.compare.models import Model
from tests.builder import TraceBuilder
from tests.captures import generate, train
from tracekit.analysis import Report, analyze
from tracekit.analysis.compare import Comparison, compare, read_report
from tracekit.analysis.compare.schema import ModuleChange, PlaceChange
from tracekit.messages import UserError
from tracekit.report.json import render_json

CORPUS = os.environ.get("TRACEKIT_CORPUS")
TABLES = ("modules", "places", "types", "ops", "kernels")


def _layers(**times: Any) -> dict[str, Any]:
    return {
        f"layers.{number}:Layer": {name.replace("_", ":"): us for name, us in times.items()}
        for number in range(4)
    }


def _compared(tmp_path: Path, before: Model, after: Model) -> Comparison:
    return compare(before.report(tmp_path, "a.json"), after.report(tmp_path, "b.json"))


def _place(comparison: Comparison, place: str) -> PlaceChange:
    (row,) = (one for one in comparison.places if one.place == place)
    return row


def _module(comparison: Comparison, key: str) -> ModuleChange:
    (row,) = (one for one in comparison.modules if one.key == key and one.kind == "modules")
    return row


def _assert_adds_up(comparison: Comparison) -> None:
    for phase in comparison.phases:
        for table in TABLES:
            rows = [one for one in getattr(comparison, table) if one.phase == phase.phase]
            if not rows:
                assert table not in ("modules", "places")
                continue  # what is known on one side alone is in no table
            for side in ("before_us", "after_us", "difference_us"):
                total = getattr(phase.total, side)
                assert sum(getattr(one, side) or 0 for one in rows) == pytest.approx(total, abs=1e-3), table


def test_a_slower_module_is_found_and_named_first(tmp_path: Path) -> None:
    before = Model(_layers(up_Linear=[10, 11, 12], down_Linear=[20, 21, 19]))
    after = Model(_layers(up_Linear=[10, 12, 11], down_Linear=[30, 31, 29]))
    comparison = _compared(tmp_path, before, after)
    (phase,) = comparison.phases
    # 4 layers: 11 + 20 before, 11 + 30 after
    assert (phase.total.before_us, phase.total.after_us, phase.total.difference_us) == pytest.approx(
        (124, 164, 40)
    )
    assert (phase.total.verdict, phase.passes_before, phase.passes_after) == ("slower", 3, 3)
    assert [comparison.places[at].place for at in phase.explained_by] == ["layers.*.down"]
    assert phase.explained_share == pytest.approx(1)
    down = _module(comparison, "layers.2.down")
    assert (down.before_us, down.after_us, down.share, down.verdict) == (
        20,
        30,
        pytest.approx(0.25),
        "slower",
    )
    assert down.relative == pytest.approx(0.5)
    assert _module(comparison, "layers.2.up").verdict == "same"
    layer = _module(comparison, "layers.2")
    assert (layer.difference_us, layer.inclusive_difference_us) == (0, pytest.approx(10))
    first, second = map(str, comparison.summary)
    assert first == "a pass takes 0.164 ms of GPU time instead of 0.124 ms, 32.3% more"
    assert second == "most of the changes, +0.04 ms together: layers.*.down +0.04 ms"
    _assert_adds_up(comparison)


def test_a_trace_with_itself_has_no_difference(tmp_path: Path) -> None:
    report = Model(_layers(up_Linear=[10, 11, 12])).report(tmp_path)
    comparison = compare(report, report)
    assert {one.verdict for table in TABLES for one in getattr(comparison, table)} == {"same"}
    assert [str(one) for one in comparison.summary] == [
        "no difference: a pass takes 0.044 ms of GPU time in both"
    ]
    assert comparison.differences == ()


def test_what_appeared_and_vanished(tmp_path: Path) -> None:
    before = Model({"a:Linear": 10, "b:Linear": 20})
    after = Model({"a:Linear": 10, "c:Gelu": 5})
    comparison = _compared(tmp_path, before, after)
    gone, new = _module(comparison, "b"), _module(comparison, "c")
    assert (gone.verdict, gone.after_us, gone.difference_us, gone.path_after) == ("vanished", None, -20, None)
    assert (new.verdict, new.before_us, new.difference_us, new.relative) == ("appeared", None, 5, None)
    _assert_adds_up(comparison)


def test_a_deeper_model(tmp_path: Path) -> None:
    before = Model({f"layers.{number}:Layer": {"up:Linear": 10} for number in range(2)})
    after = Model({f"layers.{number}:Layer": {"up:Linear": 10} for number in range(5)})
    comparison = _compared(tmp_path, before, after)
    up = _place(comparison, "layers.*.up")
    assert (up.modules_before, up.modules_after, up.before_us, up.after_us) == (2, 5, 20, 50)
    assert "layers.*.up +0.03 ms (modules: 2 → 5)" in str(comparison.summary[1])
    _assert_adds_up(comparison)


def test_another_kernel_is_named(tmp_path: Path) -> None:
    before = Model({"a:Linear": ("cutlass_gemm", 10), "b:Linear": ("cutlass_gemm", 10)})
    after = Model({"a:Linear": ("nvjet_tst", 8), "b:Linear": ("cutlass_gemm", 10)})
    comparison = _compared(tmp_path, before, after)
    first, second = _module(comparison, "a"), _module(comparison, "b")
    assert (first.kernels_changed, first.kernels_before, first.kernels_after) == (
        True,
        ("cutlass_gemm",),
        ("nvjet_tst",),
    )
    assert not second.kernels_changed
    kernels = {one.name: (one.before_us, one.after_us, one.verdict) for one in comparison.kernels}
    assert kernels == {"cutlass_gemm": (20, 10, "faster"), "nvjet_tst": (None, 8, "appeared")}


def test_compiled_against_eager(tmp_path: Path) -> None:
    eager = Model(_layers(up_Linear=10, down_Linear=20))
    compiled = Model({f"layers.{number}:OptimizedModule": ("triton", 24) for number in range(4)})
    comparison = _compared(tmp_path, eager, compiled)
    layer = _module(comparison, "layers.3")
    assert (layer.folded, layer.before_us, layer.after_us) == (True, 30, 24)
    assert any("knows nothing below" in str(one) for one in comparison.notes)
    _assert_adds_up(comparison)


def test_what_runs_outside_of_modules_is_a_row(tmp_path: Path) -> None:
    before = Model({"a:Linear": 10}, passes=1).outside("adam", 30)
    after = Model({"a:Linear": 10}, passes=1).outside("adam", 50)
    comparison = _compared(tmp_path, before, after)
    (outside,) = (one for one in comparison.modules if one.kind == "outside_modules")
    assert (outside.before_us, outside.after_us, outside.verdict) == (30, 50, "unknown")
    assert "outside modules +0.02 ms" in str(comparison.summary[1])
    assert any("one pass on each side" in str(one) for one in comparison.notes)
    _assert_adds_up(comparison)


def test_phases_are_compared_each(tmp_path: Path) -> None:
    report = analyze(generate().write(tmp_path / "t.json"))
    comparison = compare(report, report)
    assert [(one.phase, one.passes_before) for one in comparison.phases] == [("prefill", 1), ("decode", 3)]
    prefill, decode = comparison.phases
    assert (prefill.total.before_us, decode.total.before_us) == (500, 32)
    assert prefill.latency is not None
    assert (prefill.latency.before_us, prefill.latency.verdict) == (450, "same")
    _assert_adds_up(comparison)


def test_a_forward_is_compared_with_the_prefill(tmp_path: Path) -> None:
    """The decode has more passes in the trace, but each computes an eighth of it."""
    generated = generate()
    alone = train()
    before = analyze(alone.write(tmp_path / "a.json"))
    after = analyze(generated.write(tmp_path / "b.json"))
    comparison = compare(before, after)
    assert [(one.before_phase, one.after_phase) for one in comparison.phases] == [("forward", "prefill")]
    assert any("different names: forward and prefill" in str(one) for one in comparison.notes)
    assert comparison.phases[0].phase is None
    assert {row.phase for row in (*comparison.modules, *comparison.kernels)} == {None}
    _assert_adds_up(comparison)


def test_backward_has_rows_of_its_own(tmp_path: Path) -> None:
    report = analyze(train().write(tmp_path / "t.json"))
    comparison = compare(report, report)
    (total,) = (one.total for one in comparison.phases)
    # Two steps: 50 of the forward, twice 30 of a backward that nothing links to it, an optimizer 40 or 60
    assert total.before_us == pytest.approx(50 + 60 + 50)
    _assert_adds_up(comparison)


def test_host_time_is_compared_where_there_is_no_gpu(tmp_path: Path) -> None:
    def trace(us: float) -> Report:
        builder = TraceBuilder()
        for number in range(3):
            at = 1000 * number
            builder.frame("Net_0", at, at + 100 + us).frame("Linear_0", at + 10, at + 10 + us)
        return analyze(builder.write(tmp_path / f"{us}.json"))

    comparison = compare(trace(50), trace(90))
    assert comparison.quantity == "cpu_time"
    (phase,) = comparison.phases
    assert (phase.total.before_us, phase.total.after_us, phase.total.verdict) == (150, 190, "slower")
    assert _module(comparison, "Net.Linear").difference_us == 40
    _assert_adds_up(comparison)


def test_a_gpu_and_a_cpu_are_compared_by_host_time_of_modules(tmp_path: Path) -> None:
    host = TraceBuilder().frame("Net_0", 0, 100).frame("Linear_0", 10, 60).op("aten::mm", 20, 50)
    host = host.op("Optimizer.step", 200, 300)
    device = Model({"x:Linear": 10}, passes=1, frames=True)
    comparison = compare(device.report(tmp_path, "a.json"), analyze(host.write(tmp_path / "b.json")))
    assert comparison.quantity == "cpu_time"
    (phase,) = comparison.phases
    assert phase.total.after_us == 100
    assert any("only one of the traces has GPU events" in str(one) for one in comparison.notes)
    _assert_adds_up(comparison)


def test_ops_of_other_shapes_meet_at_their_place(tmp_path: Path) -> None:
    def trace(batch: int, us: float) -> Report:
        builder = TraceBuilder().frame("Net_0", 0, 100).frame("Linear_0", 10, 60)
        builder.op("aten::mm", 20, 50, [[batch, 64], [64, 8]], ["float", "float"])
        return analyze(builder.launch(1, 30).kernel(1, 40, 40 + us).write(tmp_path / f"{batch}.json"))

    comparison = compare(trace(4, 10), trace(8, 15))
    (op,) = comparison.ops
    assert (op.shapes, op.shapes_after, op.difference_us) == ("[[4, 64], [64, 8]]", "[[8, 64], [64, 8]]", 5)
    # 2 · 8 · 64 · 8 ÷ (2 · 4 · 64 · 8)
    assert any("one after has 2 × the matrix FLOPs" in str(one) for one in comparison.notes)


def test_facts_that_differ_are_listed(tmp_path: Path) -> None:
    before, after = Model({"a:Linear": 1}), Model({"a:Linear": 1}, frames=True)
    comparison = _compared(tmp_path, before, after)
    assert ("trace.module_source", "scopes", "frames") in [
        (one.field, one.before, one.after) for one in comparison.differences
    ]


def test_a_report_that_was_saved_compares_as_the_trace_does(tmp_path: Path) -> None:
    before = Model(_layers(up_Linear=[10, 11, 12])).report(tmp_path, "a.json")
    after = Model(_layers(up_Linear=[15, 16, 17])).report(tmp_path, "b.json")
    saved = tmp_path / "report.json"
    saved.write_bytes(render_json(after))
    assert compare(before, read_report(saved)) == compare(before, after)


def test_nothing_to_compare_is_said(tmp_path: Path) -> None:
    empty = analyze(TraceBuilder().range("mine", 0, 5).write(tmp_path / "a.json"))
    with pytest.raises(UserError, match="neither GPU events nor modules"):
        compare(empty, empty)


@pytest.mark.skipif(CORPUS is None, reason="TRACEKIT_CORPUS names no folder with traces")
def test_two_devices_of_the_same_workload() -> None:
    before, after = (
        analyze(Path(CORPUS or "") / f"{name}_qwen1.5_0.5b.json.gz") for name in ("h100", "mi300x")
    )
    comparison = compare(before, after)
    (phase,) = comparison.phases
    # What modules launched, as expected.json has it: the rest was launched before the traces began.
    launched = [
        one.accounting.gpu_time_us - one.accounting.launched_before_trace.us for one in (before, after)
    ]
    assert (phase.total.before_us, phase.total.after_us) == pytest.approx(tuple(launched))
    assert comparison.places[phase.explained_by[0]].type == "Qwen2Attention"
    assert all(one.path_before and one.path_after for one in comparison.modules if one.kind == "modules")
    _assert_adds_up(comparison)


@pytest.mark.skipif(CORPUS is None, reason="TRACEKIT_CORPUS names no folder with traces")
def test_any_two_traces_add_up() -> None:
    paths = sorted(Path(CORPUS or "").glob("*.json.gz"))
    reports = [analyze(path) for path in paths]
    for before, after in zip(reports, [*reports[1:], reports[0]], strict=True):
        on_gpu = {bool(one.accounting.gpu_events) for one in (before, after)}
        if len(on_gpu) == 2 and not (before.modules and after.modules):
            with pytest.raises(UserError, match="nothing is in both"):
                compare(before, after)
        else:
            _assert_adds_up(compare(before, after))
            _assert_adds_up(compare(after, before))
        itself = compare(before, before)
        assert {one.verdict for table in TABLES for one in getattr(itself, table)} <= {"same"}


def test_another_dtype(tmp_path: Path) -> None:
    """The same module in half the bytes: its op is found again, and the dtypes of both are told."""

    def trace(dtype: str, us: float) -> Report:
        builder = TraceBuilder().frame("Net_0", 0, 100).frame("Linear_0", 10, 60)
        builder.op("aten::mm", 20, 50, [[4, 64], [64, 8]], [dtype] * 2)
        return analyze(builder.launch(1, 30).kernel(1, 40, 40 + us, dtype).write(tmp_path / f"{dtype}.json"))

    comparison = compare(trace("float", 12), trace("c10::BFloat16", 7))
    (op,) = comparison.ops
    assert (op.dtypes, op.dtypes_after) == ('["float", "float"]', '["c10::BFloat16", "c10::BFloat16"]')
    assert (op.shapes_after, op.difference_us, op.kernels_changed) == (None, -5, True)
    assert _module(comparison, "Net.Linear").difference_us == -5
    _assert_adds_up(comparison)
