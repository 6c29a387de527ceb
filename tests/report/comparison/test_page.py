"""The page of a comparison in a browser: what it says, sorts, searches, switches, and that names do nothing.

That the page writes nothing to the console and asks for nothing is held at the end of every test.
"""

from __future__ import annotations

import csv
import io
import re
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.report.comparison import build
from tests.report.comparison.conftest import OpenComparison
from tests.report.page.driving import fits
from tracekit.report.comparison import payload
from tracekit.report.comparison.page import render_page
from tracekit.report.escape import clean

TABLES = ("places", "modules", "types", "ops", "kernels")


def rows(page: Page, table: str) -> list[list[str]]:
    """The cells of a table in their order, without the marks of bars."""
    return page.locator(f"#{table}-grid .tabulator-row").evaluate_all(  # type: ignore[no-any-return]
        "rows => rows.map((row) => [...row.querySelectorAll('.tabulator-cell')]"
        ".filter((cell) => cell.style.display !== 'none').map((cell) => cell.textContent))"
    )


def sort_by(page: Page, table: str, title: str) -> None:
    page.locator(f"#{table}-grid").get_by_role("button", name=title).click()


def bars(part: Locator) -> list[tuple[str, float, float, str]]:
    """Name, begin, width (per cent) and number of each visible bar of the waterfall."""
    return [
        (name, float(left), float(width), number)
        for name, left, width, number in part.locator("tr").evaluate_all(
            "rows => rows.map((row) => { const bar = row.querySelector('rect'); return ["
            "row.querySelector('bdi').textContent, parseFloat(bar.getAttribute('x')),"
            "parseFloat(bar.getAttribute('width')), row.querySelector('.number').textContent]; })"
        )
    ]


def test_headline(open_comparison: OpenComparison) -> None:
    page = open_comparison(build.llama())
    assert page.title() == "before.json.gz → after.json.gz · tracekit"
    headline = page.locator("#headline div[lang=en]")
    assert headline.locator(".summary li").first.inner_text() == "a pass takes 2.0 ms more"
    tiles = headline.locator(".tile").all_inner_texts()
    assert [tile.split("\n")[:2] for tile in tiles] == [
        ["Latency without the profiler", "+15.2%"],
        ["Wall time under the profiler", "+13.6%"],
        ["GPU time", "+20.0%"],
        ["GPU idle", "−50.0%"],
    ]
    assert tiles[2].split("\n")[2:] == ["10.00 ms → 12.00 ms", "slower"]
    assert "mean over passes: 8 before, 5 after." in headline.inner_text()
    assert "the second trace has fewer passes" in headline.inner_text()


def test_waterfall(open_comparison: OpenComparison) -> None:
    """From 9.45 ms to 12.2 ms: 10 ms are a fifth of that, 1.2 ms are 43.6 % of it."""
    page = open_comparison(build.llama())
    found = bars(page.locator("#waterfall div[lang=en]"))
    assert [name for name, *_figures in found[:2]] == ["before", "layers.*.mlp.down_proj"]
    assert found[0][1:] == (0, pytest.approx(20, abs=0.01), "10.000 ms")
    assert found[1][1:] == (
        pytest.approx(20, abs=0.01),
        pytest.approx(120 / 2.75, abs=0.01),
        "+1.200 ms",
    )
    assert found[-1][3] == "12.000 ms"
    for (_name, left, width, number), after in pairwise(found[1:]):
        end = left if number.startswith("−") else left + width
        begin = after[1] + after[2] if after[3].startswith("−") or after[0] == "after" else after[1]
        assert begin == pytest.approx(end, abs=0.01)
    assert page.locator("#waterfall div[lang=en]").get_by_text("do not begin at 0").count() == 1


def test_tables_begin_with_the_largest_differences(open_comparison: OpenComparison) -> None:
    page = open_comparison(build.llama())
    first = rows(page, "places")[0]
    assert first == [
        *("layers.*.mlp.down_proj", "Linear", "2", "4.000", "5.200", "+1.200", "+30.0%", "60.0%"),
        *("changed", "slower"),
    ]
    assert [row[5] for row in rows(page, "places")] == [
        *("+1.200", "+1.000", "−0.700", "+0.600", "−0.200", "+0.100", "0"),
    ]
    assert rows(page, "modules")[1][:5] == ["adapter", "Adapter", "—", "0.600", "+0.600"]
    assert rows(page, "ops")[1][:2] == ["aten::mul", "[1, 4096] × [4096]"]
    assert rows(page, "kernels")[0][0] == "gemv2T_kernel_val<__nv_bfloat16, float>"


def test_sorting_and_searching(open_comparison: OpenComparison) -> None:
    page = open_comparison(build.llama())
    sort_by(page, "places", "%")
    # What has no time before stands at the end.
    assert [row[6] for row in rows(page, "places")][:2] == ["+50.0%", "+33.3%"]
    assert rows(page, "places")[-1][0] == "adapter"
    page.locator("#places-controls input").fill("NORM")
    expect(page.locator("#places-grid .tabulator-row")).to_have_count(1)
    assert rows(page, "places")[0][0] == "layers.*.norm"


def test_the_chosen_row_says_more(open_comparison: OpenComparison) -> None:
    page = open_comparison(build.llama())
    page.locator("#modules-grid .tabulator-row").first.click()
    detail = page.locator("#modules-grid-detail").inner_text()
    assert "cutlass_80_tensorop_bf16_s16816gemm" in detail
    assert "gemv2T_kernel_val" in detail
    # Of 0.001 exactly.
    assert re.search(r"Corrected p-value\n0\.001", detail)


def test_a_table_as_a_file(open_comparison: OpenComparison) -> None:
    page = open_comparison(build.llama())
    with page.expect_download() as download:
        page.locator("#places-controls").get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == "places.csv"
    text = Path(download.value.path()).read_text()
    found = list(csv.DictReader(io.StringIO(text)))
    assert sum(float(row["difference_us"]) for row in found) == pytest.approx(2000)


def test_phases_are_switched(open_comparison: OpenComparison) -> None:
    one = build.phased()
    changed = [build.replaced(row, after_us=2000.0) for row in one.places if row.phase == "decode"]
    same = [row for row in one.places if row.phase != "decode"]
    page = open_comparison(build.replaced(one, places=(*same, *changed)))
    assert len(rows(page, "places")) == 7
    assert rows(page, "places")[0][4] == "5.200"
    visible = page.locator("#headline div[lang=en] [data-phase]:not([hidden])")
    assert visible.locator("h3").all_inner_texts() == ["prefill"]
    page.locator("#phase-switch").select_option("decode")
    assert {row[4] for row in rows(page, "places")} == {"2.000"}
    assert visible.locator("h3").all_inner_texts() == ["decode"]


def test_languages(open_comparison: OpenComparison) -> None:
    page = open_comparison(build.llama(), "ru")
    assert rows(page, "places")[0][4] == "5,200"
    page.locator("#language-switch").select_option("en")
    assert rows(page, "places")[0][4] == "5.200"
    assert page.locator("#waterfall div[lang=ru]").is_hidden()


def test_differences_method_and_what_is_left_out(open_comparison: OpenComparison) -> None:
    page = open_comparison(build.llama())
    assert "float16" in page.locator("#differences-en").inner_text()
    page.locator("#method-en summary").click()
    assert "Welch" in page.locator("#method-en").inner_text()


@pytest.mark.parametrize("name", build.ALL)
def test_no_name_does_anything(open_comparison: OpenComparison, name: str) -> None:
    page = open_comparison(build.ALL[name]())
    assert page.locator("main, header").locator("script, img, iframe, form, b[onclick]").count() == 0
    for table in TABLES:
        if page.locator(f"#{table}-grid").count():
            page.locator(f"#{table}-grid .tabulator-row").first.click()
    if name == "hostile":
        assert clean(build.HOSTILE) in page.locator("#places-grid-detail").inner_text()


@pytest.mark.parametrize("width", [1400, 400])
def test_the_page_is_no_wider_than_the_window(open_comparison: OpenComparison, width: int) -> None:
    page = open_comparison(build.llama(), viewport={"width": width, "height": 800})
    assert fits(page)


def test_rows_that_the_page_lacks_are_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of eleven modules four: 1.0, 0.6, 0.5 and 0.5 ms of 2.0 ms more."""
    monkeypatch.setattr(payload, "TABLE_ROWS", 4)
    page = render_page(build.llama(), "en")
    assert "7 more are in comparison.json: −600.00 µs" in page
