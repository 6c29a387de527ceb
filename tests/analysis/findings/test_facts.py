"""What the trace lacks, what is in no module, calls that stick out, and the order of findings."""

from __future__ import annotations

from pathlib import Path

from tests.analysis.findings.timeline import B, Timeline
from tracekit.analysis import analyze


def outside(gpu_us: float) -> Timeline:
    line = Timeline()
    with line.forward(), line.module("proj", "Linear"):
        line.op("aten::mm", [[4096, 4096], [4096, 4096]], B, 900)
    line.op("aten::_foreach_add_", [[4096, 4096]], B, gpu_us)
    line.op("aten::_foreach_mul_", [[4096, 4096]], B, gpu_us / 3)
    return line


def test_much_time_outside_modules_is_named(tmp_path: Path) -> None:
    (found,) = outside(75).findings(tmp_path, "trace.outside_modules")  # 100 of 1000 µs
    assert found.severity == "note"
    assert str(found.evidence).startswith("10% of the GPU time (0.1 ms)")
    assert "aten::_foreach_add_ (75%), aten::_foreach_mul_ (25%)" in str(found.evidence)


def test_little_time_outside_modules_is_not(tmp_path: Path) -> None:
    assert not outside(30).findings(tmp_path, "trace.outside_modules")  # 40 of 940 µs


def test_a_backward_is_not_outside_modules(tmp_path: Path) -> None:
    line = Timeline()
    builder = line.builder
    with line.forward(), line.module("proj", "Linear"):
        start = line.now
        line.op("aten::mm", [[4096, 4096], [4096, 4096]], B, 100)
        builder.op("aten::linear", start, line.now - 1, [[4096, 4096]], [B], sequence=7)
    builder.node("MmBackward0", line.now, line.now + 10, sequence=7)
    line.launch(300, at=line.now + 2)
    assert not line.findings(tmp_path, "trace.outside_modules")
    line.now += 20
    line.op("aten::_foreach_add_", [[4096, 4096]], B, 100)
    (found,) = line.findings(tmp_path, "trace.outside_modules")
    assert str(found.evidence).endswith("most of it by aten::_foreach_add_ (100%)")


def test_passes_that_nobody_timed_without_the_profiler(tmp_path: Path) -> None:
    line = outside(30)
    assert line.findings(tmp_path, "trace.no_latency")
    line.builder.metadata["tracekit"]["latencies_us"] = [900.0, 910.0, 920.0]
    assert not line.findings(tmp_path, "trace.no_latency")


def slow_first_call(in_pass: bool) -> Timeline:
    """Four calls of a module, the first of 20 ms; the others take 7 µs each, into and out of it included."""
    line = Timeline()

    def call(us: float) -> None:
        with line.module("norm", "Norm"):
            line.now += us
            line.op("aten::relu", [[1000]], B, 5)

    if not in_pass:
        call(20_000)
    for number in range(3 + in_pass):
        with line.forward(number):
            call(20_000 if in_pass and number == 0 else 0)
    return line


def test_a_first_call_within_the_passes_has_a_gain(tmp_path: Path) -> None:
    """Of four passes the first takes 20 ms longer: a gain of the pass, unless that is named as an outlier."""
    line = slow_first_call(in_pass=True)
    (found,) = line.findings(tmp_path, "module.slow_call")
    assert len(line.findings(tmp_path, "pass.outlier")) == 1
    assert found.gain_us is None


def test_one_before_the_passes_has_none(tmp_path: Path) -> None:
    (found,) = slow_first_call(in_pass=False).findings(tmp_path, "module.slow_call")
    assert found.gain_us is None


def test_of_many_findings_of_a_rule_the_least_are_summed(tmp_path: Path) -> None:
    line = Timeline()
    with line.forward():
        for index in range(8):  # casts there and back of 20, 22, … 34 µs in modules of their own
            with line.module(f"norm_{'abcdefgh'[index]}"):
                for types in (["float", B, "Scalar"], [B, "float", "Scalar"]):
                    line.op("aten::copy_", [[4096, 4096], [4096, 4096], []], types, 10 + index)
            line.op("aten::mm", [[4096, 4096], [4096, 4096]], B, 100)
    found = line.findings(tmp_path, "copies.undone")
    assert [one.module for one in found[1:]] == [f"norm_{letter}" for letter in "hgfed"]
    assert (found[0].module, found[0].gain_us) == (None, 20 + 22 + 24)  # more than the 34 of the worst
    assert "more places of the same kind, each with less to gain: 3" in str(found[0].evidence)


def test_findings_are_sorted_by_severity_then_gain(tmp_path: Path) -> None:
    line = outside(75)
    with line.forward(1):
        for _ in range(10):
            line.now += 300
            line.op("aten::relu", [[4096, 4096]], B, 50)
    found = analyze(line.builder.write(tmp_path / "t.json")).findings
    order = ["high", "medium", "low", "note"]
    ranks = [(order.index(one.severity), -(one.gain_us or 0)) for one in found]
    assert ranks == sorted(ranks)
    assert found[0].id == "gpu.idle"
