"""What fails a gate and what does not; the expected p-values are SciPy's on the raw values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scipy.stats import ttest_ind

from tests.builder import TraceBuilder
from tests.runs import plain, run
from tracekit.analysis import Report, analyze
from tracekit.analysis.compare.gate import gate
from tracekit.analysis.compare.gate_schema import Check, Limits
from tracekit.messages import UserError

BEFORE = [100.0, 102.0, 98.0, 101.0]


@pytest.fixture
def made(tmp_path: Path) -> Any:
    """Makes a report of a run with passes of so many µs."""

    def make(durations: list[float], **settings: Any) -> Report:
        return analyze(plain(durations, tmp_path / "t.json", **settings))

    return make


def of_traces(tmp_path: Path, before: TraceBuilder, after: TraceBuilder) -> tuple[Report, Report]:
    return analyze(before.write(tmp_path / "before.json")), analyze(after.write(tmp_path / "after.json"))


def only(reports: tuple[Report, Report], **limits: Any) -> Check:
    (check,) = gate(*reports, Limits(**{"max_regression": 0.05, **limits})).checks
    return check


def p_of(before: list[float], after: list[float], ratio: float = 1.05) -> float:
    scaled = [ratio * value for value in before]
    return float(ttest_ind(after, scaled, equal_var=False, alternative="greater").pvalue)


def test_a_regression_beyond_noise_fails(made: Any) -> None:
    after = [120.0, 122.0, 119.0]
    result = gate(made(BEFORE), made(after), Limits(max_regression=0.05))
    (check,) = result.checks
    assert (result.verdict, check.verdict, check.phase, check.module) == ("fail", "fail", "forward", None)
    assert (check.before, check.after, check.limit) == (100.25, pytest.approx(361 / 3), 1.05 * 100.25)
    assert check.change == pytest.approx(361 / 3 / 100.25 - 1)
    assert check.p_value == pytest.approx(p_of(BEFORE, after))
    assert check.change_low is not None
    assert check.change_low > 0.05  # as the test rejects it
    assert (check.passes_before, check.passes_after, result.tests) == (4, 3, 1)
    assert str(check.reason) == f"above the limit beyond noise (p = {p_of(BEFORE, after):.2g})"


def test_what_is_faster_or_within_the_limit_passes(made: Any) -> None:
    for after in ([80.0, 81.0, 82.0], [104.0, 104.5, 105.0]):
        check = only((made(BEFORE), made(after)))
        assert (check.verdict, str(check.reason)) == ("pass", "within the limit")


def test_a_growth_above_the_limit_within_noise_passes(made: Any) -> None:
    before, after = [80.0, 120.0, 100.0], [130.0, 90.0, 116.0]  # + 12%, but ± 20
    check = only((made(before), made(after)))
    assert check.change == pytest.approx(0.12)
    assert p_of(before, after) > 0.05
    assert (check.verdict, check.p_value) == ("pass", pytest.approx(p_of(before, after)))
    assert check.change_low is not None
    assert check.change_low < 0.05
    assert "within noise" in str(check.reason)


def test_no_change_with_noise_passes_also_without_any_allowance(made: Any) -> None:
    check = only((made([100.0, 110.0, 90.0]), made([101.0, 111.0, 91.0])), max_regression=0.0)
    assert check.verdict == "pass"


def test_with_one_pass_each_the_limit_alone_decides(made: Any) -> None:
    before = made([100.0])
    verdicts = {}
    for after in (105.0, 106.0):
        check = only((before, made([after])))
        assert check.p_value is check.change_low is check.change_high is None
        assert "one pass each, noise is unknown" in str(check.reason)
        verdicts[after] = check.verdict
    assert verdicts == {105.0: "pass", 106.0: "fail"}


def test_tests_are_corrected_for_their_number(tmp_path: Path) -> None:
    before = [{"layers.0.mlp": us, "layers.1.mlp": us} for us in BEFORE]
    after = [{"layers.0.mlp": us, "layers.1.mlp": us} for us in (107.0, 111.0, 108.0)]
    reports = of_traces(tmp_path, run(before), run(after))
    p = p_of(BEFORE, [107.0, 111.0, 108.0])
    assert p < 0.05 < 2 * p  # alone it fails, as one of two it does not
    assert only(reports, modules=("layers.0.mlp",)).verdict == "fail"
    both = gate(*reports, Limits(max_regression=0.05, modules=("layers.0.mlp", "layers.1.mlp")))
    assert [check.p_value for check in both.checks] == [pytest.approx(2 * p)] * 2
    assert (both.verdict, both.tests, both.confidence) == ("pass", 2, pytest.approx(0.95))
    # The intervals say the same as the verdicts.
    assert all(check.change_low is not None and check.change_low < 0.05 for check in both.checks)


def test_modules_are_summed_with_what_is_below_each_once(tmp_path: Path) -> None:
    def passes(mlp: float, up: float) -> list[dict[str, float]]:
        return [{"": 7.0, "layers.0.mlp": mlp, "layers.0.mlp.up": up, "layers.1.mlp": 40.0}] * 2

    reports = of_traces(tmp_path, run(passes(10, 50)), run(passes(10, 60)))
    # `*mlp*` matches both MLPs and what is in one of them.
    for pattern in ("layers.*.mlp", "*mlp*", "layers.*"):
        check = only(reports, modules=(pattern,))
        assert (check.module, check.before, check.after, check.verdict) == (pattern, 100, 110, "fail")
    assert only(reports, modules=("layers.1.mlp",)).verdict == "pass"
    assert only(reports, modules=("*",)).before == 107


def test_spread_of_a_sum_is_at_most_the_sum_of_spreads(tmp_path: Path) -> None:
    # Two modules that vary together: then it is reached, and the test is that of the raw sums.
    before, after = [100.0, 104.0, 96.0], [112.0, 118.0, 115.0]

    def passes(sums: list[float]) -> list[dict[str, float]]:
        return [{"layers.0.mlp": us / 2, "layers.1.mlp": us / 2} for us in sums]

    check = only(of_traces(tmp_path, run(passes(before)), run(passes(after))), modules=("layers.*.mlp",))
    assert check.p_value == pytest.approx(p_of(before, after))


def test_the_backward_of_a_module_is_part_of_its_time(tmp_path: Path) -> None:
    def step(backward: float) -> TraceBuilder:
        trace = TraceBuilder().frame("Net_0", 0, 50).frame("Linear_0", 10, 40)
        trace.op("aten::mm", 15, 35, sequence=7).launch(1, 20).kernel(1, 22, 32, "gemm")
        trace.op("MmBackward0", 60, 80, sequence=7, forward_thread=1, tid=9)
        return trace.launch(2, 65, tid=9).kernel(2, 66, 66 + backward, "gemm_t")

    check = only(of_traces(tmp_path, step(20), step(23)), modules=("*Linear_0",))
    assert (check.before, check.after, check.verdict) == (30, 33, "fail")  # 10 + 20, 10 + 23


def test_each_phase_is_gated(tmp_path: Path) -> None:
    def generated(prefill: float, decode: float) -> TraceBuilder:
        passes = [{"layers.0.mlp": prefill}, *[{"layers.0.mlp": decode}] * 3]
        return run(passes, phases=["prefill", "decode", "decode", "decode"])

    result = gate(*of_traces(tmp_path, generated(500, 20), generated(510, 23)), Limits(max_regression=0.05))
    assert [(one.phase, one.before, one.after, one.verdict) for one in result.checks] == [
        ("prefill", 500, 510, "pass"),
        ("decode", 20, 23, "fail"),
    ]


def test_a_phase_that_one_side_lacks_cannot_be_judged(tmp_path: Path) -> None:
    whole = run([{"": 9.0}, {"": 5.0}], phases=["prefill", "decode"])
    result = gate(*of_traces(tmp_path, whole, run([{"": 9.0}], phases=["prefill"])), Limits(max_regression=0))
    assert [(one.phase, one.verdict) for one in result.checks] == [("prefill", "pass"), ("decode", "unknown")]
    assert str(result.checks[1].reason) == "the trace has no passes of the phase decode"
    assert result.verdict == "unknown"


def test_a_trace_that_names_no_phases_is_the_only_one_of_the_other(made: Any, tmp_path: Path) -> None:
    bare = TraceBuilder().frame("Net_0", 0, 50).launch(1, 5).kernel(1, 20, 120)
    check = only((made([100.0]), analyze(bare.write(tmp_path / "bare.json"))), allow_different_models=True)
    assert (check.phase, check.verdict, check.before, check.after) == ("forward", "pass", 100, 100)


def test_a_pattern_that_one_side_does_not_have_cannot_be_judged(made: Any, tmp_path: Path) -> None:
    result = gate(made([9.0]), made([9.0]), Limits(max_regression=0.05, modules=("layers.9.*", "layers.0")))
    assert [one.verdict for one in result.checks] == ["unknown", "pass"]
    assert str(result.checks[0].reason) == "the baseline has no module that matches `layers.9.*`"
    bare = analyze(
        TraceBuilder().frame("Tiny", 0, 50).launch(1, 5).kernel(1, 20, 29).write(tmp_path / "b.json")
    )
    check = only((made([9.0]), bare), modules=("layers.0",), allow_different_models=True)
    assert str(check.reason) == "the trace has no module that matches `layers.0`"


def test_different_models_are_refused_unless_allowed(made: Any) -> None:
    reports = (made([100.0], kind="Tiny"), made([100.0], kind="Other"))
    with pytest.raises(
        UserError, match=r"class: Tiny in the baseline, Other in the trace.*--allow-different"
    ):
        only(reports)
    result = gate(*reports, Limits(max_regression=0.05, allow_different_models=True))
    assert result.verdict == "pass"
    assert [str(note) for note in result.notes] == [
        "model.class differs: Tiny in the baseline, Other in the trace"
    ]


def test_memory_has_no_noise(made: Any) -> None:
    reports = (made([100.0], peak=1000), made([100.0], peak=1051))
    check = only(reports, metrics=("memory",))
    assert (check.unit, check.before, check.after, check.verdict) == ("bytes", 1000, 1051, "fail")
    assert (check.phase, check.p_value, check.passes_before) == (None, None, None)
    assert str(check.reason) == "above the limit"
    assert only(reports, metrics=("memory",), max_regression=0.06).verdict == "pass"
    missing = only((reports[0], made([100.0])), metrics=("memory",))
    assert missing.verdict == "unknown"
    assert str(missing.reason).startswith("the trace has no peak of memory in it: take it with `tracekit")


def test_idle_is_the_time_between_kernels(tmp_path: Path) -> None:
    passes = [{"layers.0.mlp": 200.0, "layers.1.mlp": 200.0}] * 3
    before, after = [10.0, 12.0, 11.0], [20.0, 22.0, 21.0]
    reports = of_traces(tmp_path, run(passes, gaps=before), run(passes, gaps=after))
    check = only(reports, metrics=("idle",))
    assert (check.before, check.after, check.verdict) == (11, 21, "fail")
    assert check.p_value == pytest.approx(p_of(before, after))


def test_idle_is_of_passes(made: Any, tmp_path: Path) -> None:
    bare = analyze(TraceBuilder().launch(1, 5).kernel(1, 20, 29).write(tmp_path / "b.json"))
    check = only((made([9.0]), bare), metrics=("idle",), allow_different_models=True)
    assert (check.verdict, str(check.reason)) == ("unknown", "the trace has no passes")


def test_latency_is_that_without_the_profiler(made: Any) -> None:
    before, after = [50.0, 52.0, 51.0], [60.0, 61.0, 62.0]
    # Under the profiler nothing has changed.
    reports = tuple(made([100.0], latencies={"forward": values}) for values in (before, after))
    check = only(reports, metrics=("latency",))  # type: ignore[arg-type]
    assert (check.before, check.after, check.passes_after, check.verdict) == (51, 61, 3, "fail")
    assert check.p_value == pytest.approx(p_of(before, after))
    refused = only((made([100.0]), reports[1]), metrics=("latency",))
    assert refused.verdict == "unknown"
    assert "the baseline has no latency in it" in str(refused.reason)
    assert "tracekit capture" in str(refused.reason)


def test_host_time_where_there_is_no_gpu(tmp_path: Path) -> None:
    def host(end: float) -> TraceBuilder:
        return TraceBuilder().frame("Net_0", 0, 100).frame("Linear_0", 10, end)

    reports = of_traces(tmp_path, host(50), host(60))
    check = only(reports, metrics=("cpu_time",), modules=("*Linear_0",))
    assert (check.before, check.after, check.verdict) == (40, 50, "fail")
    assert only(reports, modules=("*Linear_0",)).metric == "cpu_time"  # as nobody asks for another
    refused = gate(*reports, Limits(max_regression=0.05, metrics=("gpu_time", "idle")))
    assert [one.verdict for one in refused.checks] == ["unknown", "unknown"]
    assert "no GPU events" in str(refused.checks[0].reason)


def test_a_failure_outweighs_what_cannot_be_judged(made: Any) -> None:
    limits = Limits(max_regression=0.05, metrics=("gpu_time", "memory"))
    result = gate(made([100.0]), made([110.0]), limits)
    assert [one.verdict for one in result.checks] == ["fail", "unknown"]
    assert result.verdict == "fail"


def test_what_was_not_there_before_is_above_any_limit(tmp_path: Path) -> None:
    reports = of_traces(tmp_path, run([{"": 9.0}]), run([{"": 9.0, "layers.1.mlp": 1.0}]))
    check = only(reports, modules=("layers.1",), max_regression=1.0)
    assert (check.before, check.after, check.change, check.verdict) == (0, 1, None, "fail")
    assert only(reports, modules=("layers.0",)).change == 0  # of nothing, nothing


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"max_regression": -0.1}, "share from 0 on"),
        ({"max_regression": float("nan")}, "share from 0 on"),
        ({"level": 0.5}, "probability"),
        ({"level": float("nan")}, "probability"),
        ({"metrics": ("speed",)}, "metric speed is not known; use of: gpu_time"),
        ({"metrics": ()}, "nothing to gate"),
    ],
)
def test_limits_that_make_no_sense(made: Any, limits: dict[str, Any], words: str) -> None:
    report = made([100.0])
    with pytest.raises(UserError, match=words):
        only((report, report), **limits)
