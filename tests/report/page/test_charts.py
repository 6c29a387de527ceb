"""Blocks, roofline and passes: what is drawn where, and that hints say what report.json says."""

from __future__ import annotations

import itertools

import pytest
from playwright.sync_api import Page, expect

from tests.report import build
from tests.report.page import reports
from tests.report.page.conftest import OpenPage, PageOf
from tests.report.page.driving import choose, click, option, place, point, selected
from tracekit.report.i18n import Locale


def column(page: Page, chart: str, position: int) -> tuple[float, float]:
    """A place in a column of a bar chart, between its axes."""
    x = page.evaluate(
        "([id, position]) => echarts.getInstanceByDom(document.getElementById(id))"
        ".convertToPixel({ xAxisIndex: 0 }, position)",
        [chart, position],
    )
    return float(x), 200.0


def test_blocks_by_hand(page_of: PageOf) -> None:
    page = page_of("small")
    for i in range(2):
        title, lines = point(page, "blocks-chart", *column(page, "blocks-chart", i))
        assert title == f"layers.{i}"
        assert lines["GPU time, per pass (median of 2 passes)"] == "1.20 ms"
        # Parts take 1399.5, 600.5 and 400 µs in two passes.
        assert (lines["· attention"], lines["· FFN"], lines["· the rest of the block"]) == (
            "699.75 µs",
            "300.25 µs",
            "200.00 µs",
        )
        assert lines["Efficiency"] == "92.50 TFLOP/s"
    series = {
        one["name"]: one["data"] for one in option(page, "blocks-chart", "series") if one["type"] == "bar"
    }
    assert series == {
        "part attention": [699.75, 699.75],
        "part mlp": [300.25, 300.25],
        "part residual": [200.0, 200.0],
    }
    page.select_option("#blocks-bars", "kind")
    series = {
        one["name"]: one["data"] for one in option(page, "blocks-chart", "series") if one["type"] == "bar"
    }
    assert series == {"kind transformer": [1200.0, 1200.0]}
    page.select_option("#blocks-bars", "part")


@pytest.mark.parametrize("name", reports.BROWSED)
def test_blocks_are_those_of_report_json(page_of: PageOf, name: str) -> None:
    page, document, locale = page_of(name), reports.document(name), Locale("en")
    side = "gpu" if document["accounting"]["gpu_events"] else "cpu"
    blocks = document["blocks"]
    assert page.locator("#blocks").count() == (1 if blocks else 0)
    if name == "hostile":
        return
    stacks = [block["stack"] for block in blocks]
    for i in (0, len(blocks) // 2, len(blocks) - 1):
        # Between stacks a column is left free.
        gaps = sum(one != other for one, other in itertools.pairwise(stacks[: i + 1]))
        title, lines = point(page, "blocks-chart", *column(page, "blocks-chart", i + gaps))
        block = blocks[i]
        assert title == block["path"]
        time = next(value for label, value in lines.items() if "per pass" in label and "time" in label)
        assert time == locale.duration(block[f"{side}_time_per_pass_us"])
        if len(block["phases"]) < 2:
            assert lines["Matrix FLOPs per pass"] == locale.flops(block["matrix_flops_per_pass"])
        assert lines["Parameters"] == locale.count(block["parameters"])


def test_a_block_is_selected(page_of: PageOf) -> None:
    page = page_of("synthetic")
    x, y = column(page, "blocks-chart", 42)
    click(page, "blocks-chart", x, y)
    assert selected(page) == "model.layers.42"
    page.keyboard.press("Escape")
    page.locator("#blocks-chart").focus()
    page.keyboard.press("End")
    assert selected(page) == "model.layers.99"
    page.keyboard.press("ArrowLeft")
    assert selected(page) == "model.layers.98"


def dots(page: Page) -> list[list[float]]:
    return [
        one["value"]
        for series in option(page, "roofline-chart", "series")
        if series.get("id") == "dots"
        for one in series["data"]
    ]


def test_roofline_by_hand(page_of: PageOf) -> None:
    """`fc`: 12,345,678,901 FLOPs and 2 MB in 600.5 µs; `attn`: 98,765,432,100 and 1 MB in 1399.5 µs."""
    page = page_of("small")
    found = dots(page)
    fc, attn = [6172.8394505, 20.5589989], [98765.4321, 70.5719414]
    assert len(found) == 4
    for expected in (fc, attn):
        assert sum(value == pytest.approx(expected, rel=1e-6) for value in found) == 2
    title, lines = point(page, "roofline-chart", *place(page, "roofline-chart", {"seriesId": "dots"}, fc))
    assert title in ("layers.0.fc", "layers.1.fc")
    assert lines["GPU time, over the whole trace"] == "600.50 µs"
    assert lines["FLOPs per byte"] == "6,172.84"
    assert lines["TFLOP/s of the FLOPs that set the bound, as drawn"] == "20.56 TFLOP/s"
    assert lines["TFLOP/s of matrix FLOPs alone"] == "20.56 TFLOP/s"
    assert lines["Memory traffic"] == "3.3 GB/s"
    assert lines["Bound reached"] == "25.0%"
    # The slope ends where 3352 GB/s meet 989.4 TFLOP/s: at 295.2 FLOPs per byte.
    roofs = {
        tuple(round(number, 1) for number in row)
        for series in option(page, "roofline-chart", "series")
        if series.get("id") == "roofs"
        for row in series["data"]
    }
    ends = {row[2:] for row in roofs} | {row[:2] for row in roofs}
    assert (295.2, 989.4) in ends


@pytest.mark.parametrize("name", ["qwen", "synthetic"])
def test_roofline_is_that_of_report_json(page_of: PageOf, name: str) -> None:
    page, document, locale = page_of(name), reports.document(name), Locale("en")
    placed = [
        row
        for row in document["modules"]
        if row["gpu_self_time_us"] > 0 and row["roofline_intensity"] and row["roofline_tflops"]
    ]
    found = dots(page)
    assert len(found) == min(len(placed), 3000)
    assert {tuple(value) for value in found} <= {
        (row["roofline_intensity"], row["roofline_tflops"]) for row in placed
    }
    longest = max(placed, key=lambda row: row["gpu_self_time_us"])
    at = [longest["roofline_intensity"], longest["roofline_tflops"]]
    # Smaller dots lie over it: what is shown there is a module of that place and time, or one over it.
    title, lines = point(page, "roofline-chart", *place(page, "roofline-chart", {"seriesId": "dots"}, at))
    (row,) = (row for row in placed if row["path"] == title)
    assert lines["GPU time, over the whole trace"] == locale.duration(row["gpu_time_us"])
    assert lines["FLOPs per byte"] == locale.fixed(row["roofline_intensity"])
    assert lines["Memory traffic"] == f"{locale.fixed(row['gbs'], 1)} GB/s"


def test_roofline_of_types(page_of: PageOf) -> None:
    page = page_of("small")
    page.select_option("#roofline-dots", "types")
    # Linear alone has a place.
    assert dots(page) == [[50.0, 40.0]]
    title, lines = point(
        page, "roofline-chart", *place(page, "roofline-chart", {"seriesId": "dots"}, [50.0, 40.0])
    )
    assert (title, lines["Bound reached"]) == ("Linear", "25.0%")
    page.select_option("#roofline-dots", "modules")


def test_a_dot_is_selected(page_of: PageOf) -> None:
    page = page_of("small")
    page.locator("#roofline-chart").focus()
    page.keyboard.press("ArrowRight")
    first = selected(page)
    assert first in ("layers.0.attn", "layers.1.attn")
    page.keyboard.press("End")
    assert selected(page) in ("layers.0.fc", "layers.1.fc")
    x, y = place(page, "roofline-chart", {"seriesId": "dots"}, [98765.4321, 70.5719414])
    click(page, "roofline-chart", x, y)
    assert selected(page) in ("layers.0.attn", "layers.1.attn")
    # The dots of what is selected stand over the others, and only they have a colour.
    choose(page, 2)
    inside = option(page, "roofline-chart", "series.find((one) => one.id === 'dots').data.slice(-2)")
    assert sorted(one["value"][1] for one in inside) == pytest.approx([20.5589989, 70.5719414])


def test_no_roofline_without_shapes(open_page: OpenPage) -> None:
    page = open_page(build.no_shapes())
    page.locator("#roofline").scroll_into_view_if_needed()
    assert "record_shapes=True" in page.locator("#roofline .instead").inner_text()
    page.select_option("#language-switch", "ru")
    assert "record_shapes=True" in page.locator("#roofline .instead").inner_text()
    assert "В трассе" in page.locator("#roofline .instead").inner_text()


def test_passes_by_hand(page_of: PageOf) -> None:
    """Passes of 6100 and 5900 µs wall time; the GPU is busy for 4900 and idle for 100 in each."""
    page = page_of("small")
    for i, wall in enumerate(("6.10 ms", "5.90 ms")):
        title, lines = point(page, "passes-chart", *column(page, "passes-chart", i))
        assert title == f"Pass {i}"
        assert lines["Wall time"] == wall
        assert lines["GPU busy"] == "4.90 ms"
        assert lines["GPU idle between its kernels"] == "100.00 µs"
        assert lines["Matrix FLOPs"] == "1.012 TFLOPs"
    bars = [one for one in option(page, "passes-chart", "series") if one["type"] == "bar" and "name" in one]
    assert {one["name"]: one["data"] for one in bars} == {"busy": [4900, 4900], "idle": [100, 100]}


@pytest.mark.parametrize("name", ["sample", "qwen", "generate"])
def test_passes_are_those_of_report_json(page_of: PageOf, name: str) -> None:
    page, document, locale = page_of(name), reports.document(name), Locale("en")
    for i in sorted({0, len(document["passes"]) // 2, len(document["passes"]) - 1}):
        one = document["passes"][i]
        at = column(page, "passes-chart", i) if len(document["passes"]) > 1 else (300.0, 20.0)
        _title, lines = point(page, "passes-chart", *at)
        assert lines["Wall time"] == locale.duration(one["wall_us"])
        assert lines["CPU time"] == locale.duration(one["cpu_time_us"])
        assert lines["Matrix FLOPs"] == locale.flops(one["matrix_flops"])


def test_an_outlier_is_named_and_left_out(open_page: OpenPage) -> None:
    """The 31st of 50 passes takes 60 ms, the others 6."""
    page = open_page(build.large())
    assert "31" in page.locator("#passes .note").last.inner_text()
    _title, lines = point(page, "passes-chart", *column(page, "passes-chart", 31))
    assert lines["Wall time"] == "60.00 ms"
    assert "Outlier" in lines
    page.select_option("#passes-shown", "usual")
    _title, lines = point(page, "passes-chart", *column(page, "passes-chart", 31))
    assert lines["Wall time"] == "6.00 ms"
    assert "Outlier" not in lines


@pytest.mark.parametrize(
    "chart", ["blocks-chart", "roofline-chart", "passes-chart", "flame-chart", "timeline-chart"]
)
def test_language_and_theme(page_of: PageOf, chart: str) -> None:
    page = page_of("small")
    box = page.locator(f"#{chart}")
    label, colour = box.get_attribute("aria-label"), option(page, chart, "tooltip[0].backgroundColor")
    assert label
    page.select_option("#language-switch", "ru")
    assert any("а" <= letter <= "я" for letter in (box.get_attribute("aria-label") or "").lower())
    page.select_option("#theme-switch", "dark")
    assert colour == "#ffffff"
    assert option(page, chart, "tooltip[0].backgroundColor") == "#11161d"
    page.select_option("#language-switch", "en")
    assert box.get_attribute("aria-label") == label


def test_colours_follow_what_is_chosen(page_of: PageOf) -> None:
    page = page_of("small")
    selects = page.get_by_label("Colour by")
    assert selects.count() == 3
    selects.first.select_option("limit")
    for one in selects.all():
        expect(one).to_have_value("limit")
    colours = {
        one["itemStyle"]["color"]
        for one in option(page, "roofline-chart", "series.find((one) => one.id === 'dots').data")
    }
    # Of `fc` memory, of `attn` computing.
    assert colours == {"#de8f05", "#0173b2"}
    selects.first.select_option("type")
