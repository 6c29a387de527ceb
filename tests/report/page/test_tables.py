"""The tables of kernels and operators: their figures, sorting, search, and the whole name of a row."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.report.page import reports
from tests.report.page.conftest import OpenPage, PageOf
from tests.report.page.test_tree import head, rows, search
from tracekit.report.i18n import Locale


def test_kernels_by_hand(page_of: PageOf) -> None:
    page = page_of("small")
    first = rows(page, "kernels-grid")[0]
    # Its whole name stands in the hint.
    assert first == {
        "row": "0",
        "name": "elementwise",
        "kind": "kernel",
        "calls": "60",
        "time": "8.000",
        "mean": "133.33",
        "min": "100.00",
        "max": "200.00",
    }
    name = page.locator("#kernels-grid .tabulator-row .name").first
    assert name.get_attribute("title") == "void at::native::elementwise<128>(int)"
    assert rows(page, "kernels-grid")[1]["kind"] == "copy"
    # 8 of 12 ms.
    assert page.locator("#kernels-grid .bar-note").first.inner_text() == "66.7%"


@pytest.mark.parametrize("name", reports.BROWSED)
def test_every_figure_is_that_of_report_json(page_of: PageOf, name: str) -> None:
    page, document, locale = page_of(name), reports.document(name), Locale("en")
    on_gpu = document["accounting"]["gpu_events"] > 0
    assert page.locator("#kernels").count() == (1 if document["kernels"] else 0)
    for shown in rows(page, "kernels-grid"):
        row = document["kernels"][int(shown["row"])]
        assert shown["calls"] == locale.count(row["calls"])
        assert shown["time"] == locale.milliseconds(row["gpu_time_us"])
        for column in ("mean", "min", "max"):
            assert shown[column] == locale.fixed(row[f"{column}_us"])
    found = rows(page, "ops-grid")
    assert len(found) >= min(20, len(document["ops"]))
    for shown in found:
        row = document["ops"][int(shown["row"])]
        assert shown["calls"] == locale.count(row["calls"])
        assert shown["time"] == locale.milliseconds(row["gpu_time_us" if on_gpu else "cpu_time_us"])
        known: dict[str, Any] = {
            "self": locale.milliseconds(row["gpu_self_time_us"]),
            "tflops": locale.fixed(row["tflops"]),
            "gflops": locale.fixed(row["cpu_gflops"]),
            "gbs": locale.fixed(row["gbs"], 1),
            "intensity": locale.fixed(row["arithmetic_intensity"], 1),
            "won": locale.milliseconds(row["headroom_us"]),
        }
        for column in known.keys() & shown.keys():
            assert shown[column] == known[column], column
    times = [document["ops"][int(one["row"])]["gpu_time_us" if on_gpu else "cpu_time_us"] for one in found]
    assert times == sorted(times, reverse=True)


def test_three_thousand_operators(open_page: OpenPage, tmp_path: Path) -> None:
    """Operator i takes 3000 - i µs; its shapes are [i + 1, 64] and [64, 128]."""
    page = open_page("synthetic")
    table = page.locator("#ops-grid")
    first = rows(page, "ops-grid")[0]
    assert (first["name"], first["time"]) == ("aten::op_0000", "3.000")
    assert (first["shapes"], first["types"]) == ("[1, 64] × [64, 128]", "bf16")
    head(page, "time", "ops-grid").click()
    first = rows(page, "ops-grid")[0]
    assert (first["name"], first["time"]) == ("aten::op_2999", "0.0010")
    head(page, "shapes", "ops-grid").click()
    # By number: 2 stands before 10.
    assert [row["shapes"].split(",")[0] for row in rows(page, "ops-grid")][:3] == ["[1", "[2", "[3"]
    head(page, "name", "ops-grid").click()
    head(page, "name", "ops-grid").click()
    assert rows(page, "ops-grid")[0]["name"] == "aten::op_2999"
    search(page, "op_", "3,000 matches", view="ops")
    search(page, "_123", "10 matches", view="ops")
    assert [row["name"] for row in rows(page, "ops-grid")] == [f"aten::op_{i}" for i in range(1239, 1229, -1)]
    assert table.locator("mark").first.inner_text() == "_123"
    with page.expect_download() as waiting:
        page.locator("#ops-controls").get_by_role("button", name="CSV").click()
    waiting.value.save_as(tmp_path / "ops.csv")
    with (tmp_path / "ops.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["name"] for row in found] == [f"aten::op_{i}" for i in range(1239, 1229, -1)]
    assert [float(row["gpu_time_us"]) for row in found] == [3000.0 - i for i in range(1239, 1229, -1)]
    assert found[0]["shapes"] == "[[1240, 64], [64, 128]]"


def test_a_row_shows_its_whole_name(page_of: PageOf) -> None:
    page = page_of("small")
    detail = page.locator("#kernels-grid-detail")
    expect(detail).to_be_hidden()
    page.locator("#kernels-grid .tabulator-row").first.click()
    assert detail.locator("dd").inner_text() == "void at::native::elementwise<128>(int)"
    page.locator("#kernels-grid .tabulator-row").first.press("ArrowDown")
    page.keyboard.press("Enter")
    assert detail.locator("dd").inner_text() == "Memcpy HtoD"
    page.keyboard.press("Enter")
    expect(detail).to_be_hidden()


def test_language(page_of: PageOf) -> None:
    page = page_of("small")
    page.select_option("#language-switch", "ru")
    first = rows(page, "kernels-grid")[0]
    assert (first["time"], first["mean"]) == ("8,000", "133,33")
    assert rows(page, "kernels-grid")[1]["kind"] == "копирование"
