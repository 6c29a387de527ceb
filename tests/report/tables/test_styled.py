import re
from html import unescape

import numpy as np
import pandas as pd
import pytest

from tests.report import build
from tests.report.tables.test_columns import timeline
from tracekit.api import Report
from tracekit.messages import UserError
from tracekit.report.tables.columns import TABLES
from tracekit.report.tables.styled import NAMES


def report(data=None, lang="en"):
    shown = Report(data if data is not None else build.hybrid())
    shown.lang = lang
    return shown


def cells(style):
    """The texts of the rows, headers first."""
    rows = re.findall(r"<tr>(.*?)</tr>", style.to_html(), re.DOTALL)
    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[unescape(text) for text in row] for row in found]


def test_modules_by_self_time_with_units_and_without_what_says_little():
    assert cells(report().show("modules", top=3)) == [
        ["Path", "Type", "Calls", "GPU self time per pass (µs)", "GPU time per pass (µs)"],
        ["backbone.layers.0.mixer.in_proj", "Linear", "2", "2,000.0", "2,000.0"],
        ["backbone.layers.0.mixer.norm", "MambaRMSNormGated", "2", "1,500.0", "1,500.0"],
        ["backbone.layers.1.mixer.up_proj", "Linear", "2", "1,000.0", "1,000.0"],
    ]


def test_all_modules_are_there():
    shown = cells(report().show(top=100))
    # By self time: the last two have 0.5 ms and none.
    assert [row[0] for row in shown[4:]] == ["lm_head", "backbone"]


def test_blocks():
    shown = cells(report().show("blocks"))
    assert shown[0] == [
        *("Number", "Kind", "Parameters", "GPU time per pass (µs)", "Matrix FLOPs per pass"),
        "Achieved (TFLOP/s)",
    ]
    assert shown[1] == ["0", "mamba", "147,450,624", "3,500.0", "17.980 GF", "5.14"]
    assert shown[3] == ["2", "attention", "55,054,720", "500.0", "6.792 GF", "0.021"]


def test_the_unknown_is_a_dash_and_words_are_translated():
    shown = cells(report(lang="ru").show("headroom"))
    assert shown[0][:2] == ["Вид", "Где"]
    assert shown[2] == [
        "GPU ждёт запусков",
        "",
        "—",
        "0",
        "0",
        "—",
        "600,0",
        "10,0\u00a0%",
        "хост (GPU ждёт)",
    ]


def test_without_a_gpu_times_are_the_cpus():
    for name in TABLES:
        assert not [header for header in cells(report(build.cpu_only()).show(name))[0] if "GPU" in header]
    shown = cells(report(build.cpu_only()).show("modules"))
    assert shown[1][:4] == ["layers.0.fc", "Linear", "2", "1,500.0"]


@pytest.mark.parametrize("lang", ["en", "ru"])
@pytest.mark.parametrize("name", build.ALL)
def test_every_table_of_every_report(name, lang):
    data = build.ALL[name]()
    if len(data.modules) > 1:
        data = build.changed(data, timeline=timeline())
    for table in NAMES:
        text = report(data, lang).show(table).to_html()
        assert not re.search(r"<script|<NA>|\bnan\b|\bNone\b|\x1b|\u202e", text)


def test_a_frame_made_from_a_table():
    shown = report()
    per_kind = shown.blocks.groupby("kind")["gpu_time_us"].sum()
    assert cells(shown.show(per_kind))[-1] == ["mlp", "2,000.0"]
    by_kind = shown.blocks.groupby("kind")[["gpu_time_us", "matrix_flops_per_pass"]].mean()
    assert cells(shown.show(by_kind)) == [
        ["\u00a0", "GPU time (µs)", "Matrix FLOPs per pass"],
        ["Kind", "\u00a0", "\u00a0"],
        ["attention", "1,000.0", "6.792 GF"],
        ["mamba", "7,000.0", "17.980 GF"],
        ["mlp", "2,000.0", "17.140 GF"],
    ]


def test_rows_that_were_picked_are_not_numbered():
    shown = report()
    linear = shown.modules[shown.modules["type"] == "Linear"]
    assert cells(shown.show(linear[["name", "calls"]])) == [
        ["Name", "Calls"],
        ["in_proj", "2"],
        ["up_proj", "2"],
    ]


def test_columns_of_ones_own_keep_their_names():
    table = pd.DataFrame({"<b>mine</b>": [1.5, np.nan, np.inf], "text": ["<i>x</i>", None, "y\x1b"]})
    style = report().show(table)
    assert cells(style) == [
        ["<b>mine</b>", "text"],
        ["1.50", "<i>x</i>"],
        ["—", "—"],
        ["—", r"y\x1b"],
    ]
    assert "<i>" not in style.to_html()
    assert "<b>" not in style.to_html()


def test_whole_numbers_have_no_decimals():
    table = pd.DataFrame({"parameters": [1e6, 2.0, np.inf], "calls": [1.5, 2.0, np.nan]})
    assert cells(report().show(table))[1:] == [["1,000,000", "1.50"], ["2", "2.00"], ["—", "—"]]


def test_several_figures_of_a_column():
    table = report().blocks.groupby("kind").agg({"gpu_time_us": ["min", "max"], "calls": ["sum"]})
    text = report().show(table).to_html()
    assert "7,000.0" in text
    assert "linear-gradient" in text


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame(),
        pd.DataFrame({"gpu_time_us": []}),
        pd.DataFrame({"gpu_time_us": [0.0, 0.0]}),
        pd.DataFrame({"gpu_time_us": [1.0, 2.0]}, index=["a", "a"]),
        pd.DataFrame({"gpu_time_us": [1, 2]}, index=pd.Index(["a", "a"], name="name")),
        pd.DataFrame({"bytes": pd.Series([1, None], dtype="Int64"), "bound_share": [0.5, np.nan]}),
        pd.DataFrame({"matrix_flops": ["text"], "limited_by": [3], "evidence": [None], 5: [b"x"]}),
        pd.DataFrame({"calls": [True, False], "share": [[1], {}]}),
    ],
)
def test_odd_frames(table):
    assert "<table" in report().show(table).to_html()


def test_how_many_rows_are_shown():
    assert "<caption>2 of 5 rows</caption>" in report().show("modules", top=2).to_html()
    assert "<caption" not in report().show("modules", top=5).to_html()


def test_bars_are_for_durations():
    text = report().show("passes").to_html()
    shaded = {int(cell) for cell in re.findall(r"_row1_col(\d+)", text.partition("</style>")[0])}
    headers = cells(report().show("passes"))[0]
    assert {headers[position] for position in shaded} == {
        *("Wall time (µs)", "CPU time (µs)", "GPU time (µs)", "GPU busy (µs)", "GPU idle (µs)"),
    }


def test_sentences_are_whole():
    (evidence,) = [text for text in cells(report().show("findings"))[1] if text.startswith("one of")]
    assert evidence == "one of its 20 calls takes 404.2 ms of CPU time, the median one 0.8 ms"


def test_frames_stay_plain():
    shown = report()
    before = shown.modules.copy()
    shown.show("modules")
    shown.show(shown.modules)
    pd.testing.assert_frame_equal(shown.modules, before)


def test_a_table_that_there_is_not():
    with pytest.raises(UserError, match="there is no table 'module'; choose one of: modules, types"):
        report().show("module")
