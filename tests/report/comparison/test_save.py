import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.comparison import build
from tracekit.messages import UserError
from tracekit.report import comparison as renderers

MARKER = ".tracekit-report"
TABLES = ("phases", "places", "modules", "types", "ops", "kernels", "differences", "left_out")
PAGES = {"comparison.md", "comparison.html", "comparison.json", "waterfall.png"}
CSV = {f"{name}.csv" for name in TABLES}


def names(directory):
    return {path.name for path in directory.iterdir()}


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        (
            renderers.DEFAULT_FORMATS,
            {"comparison.md", "comparison.html", "comparison.json", "waterfall.png"} | CSV,
        ),
        (["json"], {"comparison.json"}),
        (["md", "svg"], {"comparison.md", "waterfall.svg"}),
    ],
)
def test_what_was_asked_for(tmp_path, formats, expected):
    started = []
    out = renderers.save(build.llama(), tmp_path / "out", formats, starting=started.append)
    assert names(out) == expected | {MARKER}
    assert {name.replace("waterfall.", "*.") for name in expected if not name.endswith(".csv")} <= set(
        started
    )


@pytest.mark.parametrize("formats", [[], ["xlsx"], ["parquet"], ["md", "doc"]])
def test_a_format_that_there_is_not(tmp_path, formats):
    with pytest.raises(UserError, match="md, png, html, json, csv, svg"):
        renderers.save(build.llama(), tmp_path / "out", formats)
    assert names(tmp_path) == set()


def test_an_older_report_is_replaced_and_the_user_s_files_stay(tmp_path):
    out = renderers.save(build.llama(), tmp_path / "out", ["json", "csv"])
    (out / "mine.txt").write_text("mine")
    renderers.save(build.llama(), out, ["md"])
    assert names(out) == {"comparison.md", "mine.txt", MARKER}
    with pytest.raises(UserError, match="holds other files"):
        renderers.save(build.llama(), tmp_path, ["md"])


def test_the_picture_in_the_markdown_is_the_one_beside_it(tmp_path):
    out = renderers.save(build.llama(), tmp_path / "out", ["md", "svg"])
    assert "](waterfall.svg)" in (out / "comparison.md").read_text()


def test_the_json_way_loads_no_heavy_library(tmp_path):
    code = (
        "import sys\n"
        "from tests.report.comparison import build\n"
        "from tracekit.report import comparison\n"
        f"comparison.save(build.llama(), {str(tmp_path / 'out')!r}, ['json'])\n"
        "print(sorted({'pandas', 'matplotlib', 'rich', 'jinja2', 'babel'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
