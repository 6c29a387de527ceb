import csv
import io

import pytest

from tests.report.comparison import build
from tracekit.api_compare import Comparison
from tracekit.report.comparison.tables import csv_pieces


def tables(comparison):
    files = {name: b"".join(pieces).decode() for name, pieces in csv_pieces(comparison)}
    return {name: list(csv.DictReader(io.StringIO(text))) for name, text in files.items()}


def test_every_table_is_a_file():
    found = tables(build.llama())
    assert set(found) == {
        *("phases.csv", "places.csv", "modules.csv", "types.csv", "ops.csv", "kernels.csv"),
        *("differences.csv", "left_out.csv"),
    }
    assert sum(float(row["difference_us"]) for row in found["modules.csv"]) == pytest.approx(2000)
    adapter = found["modules.csv"][1]
    assert (adapter["before_us"], adapter["after_us"], adapter["verdict"]) == ("", "600.0", "appeared")
    assert found["modules.csv"][0]["kernels_before"].startswith("void cutlass::Kernel2")
    assert [row["quantity"] for row in found["phases.csv"]] == ["total", "wall", "latency", "gpu_idle"]
    assert found["phases.csv"][1]["after_us"] == "12500.0"


def test_several_kernels_are_in_one_cell():
    one = build.llama()
    row = build.replaced(one.modules[0], kernels_before=("a", "b"))
    found = tables(build.replaced(one, modules=(row,)))
    assert found["modules.csv"][0]["kernels_before"] == "a | b"


def test_names_are_no_formulas_and_no_lines():
    found = tables(build.replaced(build.llama(), kernels=(build.kernel("=1\n+2", 1.0, 2.0, 1.0),)))
    assert found["kernels.csv"][0]["name"] == "'=1\\n+2"


def test_frames():
    comparison = Comparison(build.llama())
    assert comparison.places.difference_us.sum() == pytest.approx(2000)
    assert comparison.modules.before_us.isna().sum() == 1
    assert str(comparison.modules.folded.dtype) == "bool"
    assert str(comparison.phases.passes_before.dtype) == "int64"
    assert list(comparison.types.type[:2]) == ["Linear", "RMSNorm"]
    assert comparison.ops.name.isna().sum() == 1
    assert len(comparison.kernels) == 4
    assert Comparison(build.nothing()).modules.empty
    assert "verdict" in Comparison(build.nothing()).modules


def test_a_comparison_in_a_notebook():
    comparison = Comparison(build.llama())
    assert repr(comparison) == (
        "<tracekit.Comparison of 'runs/before.json.gz' and 'runs/after.json.gz': a pass takes 2.0 ms more>"
    )
    html = comparison._repr_html_()
    assert "10.50 ms → 12.10 ms" in html
    assert "+1.200 ms" in html
    assert "<script>alert" not in Comparison(build.hostile())._repr_html_()
    assert len(html) < 20_000
