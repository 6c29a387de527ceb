import pytest

from tests.report import build
from tests.report.tables.test_columns import timeline
from tracekit.api import Report
from tracekit.report.tables.columns import HTA_TABLES, NESTED_TABLES, TABLES
from tracekit.report.tables.frames import frame


def test_types_hold_without_rows():
    full, empty = frame(build.hybrid(), "modules"), frame(build.empty(), "modules")
    assert full.dtypes.equals(empty.dtypes)
    assert len(empty) == 0
    assert full.dtypes["calls"] == "int64"
    assert full.dtypes["parameters"] == "Int64"
    assert full.dtypes["gpu_time_us"] == "float64"
    assert full.dtypes["beats_bound"] == "bool"
    assert full["gpu_self_time_us"].sum() == 10_000


def test_the_unknown_is_missing():
    modules = frame(build.hybrid(), "modules")
    assert modules["parameters"].tolist()[1] == 1000
    assert modules["parameters"].isna().sum() == 4
    assert modules["tflops"].isna().all()
    assert modules["parent"].tolist() == [None] * 5


def test_messages_are_text():
    assert frame(build.hybrid(), "findings")["evidence"][0].startswith("one of its 20 calls")


def test_phases_of_blocks_are_rows():
    table = frame(build.phases(), "block_phases")
    assert list(table.columns[:4]) == ["stack", "index", "phase", "calls"]
    assert table["phase"].tolist() == ["prefill", "decode"] * 3
    # Blocks of 3.5, 1 and 0.5 ms in the prefill, a tenth of that in the decode.
    decode = table[table["phase"] == "decode"]
    assert decode["gpu_time_per_pass_us"].tolist() == pytest.approx([350, 100, 50])
    assert len(frame(build.hybrid(), "module_phases")) == 0


@pytest.mark.parametrize("name", [*TABLES, *NESTED_TABLES, *HTA_TABLES, "timeline"])
def test_the_report_offers_every_table(name):
    report = Report(build.changed(build.phases(), timeline=timeline()))
    assert getattr(report, name).equals(frame(report.data, name))
    assert getattr(report, name) is getattr(report, name)


def test_flops_beyond_64_bits_do_not_end_the_program():
    op = build.changed(build.hybrid().ops[0], matrix_flops=10**30)
    assert frame(build.changed(build.hybrid(), ops=(op,)), "ops")["matrix_flops"].tolist() == [1e30]
