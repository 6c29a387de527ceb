"""The page of a job in a browser: what it says, draws, sorts, searches, switches, and that names do nothing.

That the page writes nothing to the console and asks for nothing is held at the end of every test.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.report.job import build
from tests.report.job.conftest import OpenJob
from tests.report.page.driving import fits
from tracekit.report.escape import clean
from tracekit.report.i18n import Locale
from tracekit.report.job import payload
from tracekit.report.job.page import render_page

TABLES = ("ranks", "collectives", "modules", "steps")


def rows(page: Page, table: str) -> list[list[str]]:
    return page.locator(f"#{table}-grid .tabulator-row").evaluate_all(  # type: ignore[no-any-return]
        "rows => rows.map((row) => [...row.querySelectorAll('.tabulator-cell')]"
        ".filter((cell) => cell.style.display !== 'none').map((cell) => cell.textContent))"
    )


def test_headline_and_findings(open_job: OpenJob) -> None:
    page = open_job(build.job())
    assert page.title() == "Job of 4 ranks · tracekit"
    tiles = [tile.split("\n") for tile in page.locator("#headline dl[lang=en] .tile").all_inner_texts()]
    assert tiles[:4] == [
        ["Ranks", "4 of 4", "1 host"],
        ["Step", "10.00 ms", "median over the ranks; 2 steps"],
        ["Compute", "60.0%", "6.00 ms"],
        ["Exposed communication", "30.0%", "3.00 ms"],
    ]
    finding = page.locator("#findings div[lang=en] .finding").inner_text()
    assert "It takes 4.0 ms in model.layers.1.mlp." in finding
    assert "2.00 ms" in finding
    assert "3 ranks share no clock" in page.locator("#findings div[lang=en] .notes").inner_text()


def test_bars_of_few_ranks_add_up(open_job: OpenJob) -> None:
    page = open_job(build.job())
    widths = page.locator("#columns .rank-bars tr").evaluate_all(
        "rows => rows.map((row) => [...row.querySelectorAll('i')]"
        ".map((part) => parseFloat(part.style.width)))"
    )
    assert widths[2] == [80, 10, 2, 8]
    assert [sum(row) for row in widths] == pytest.approx([100] * 4)
    assert page.locator("#columns tr").nth(2).inner_text().endswith("last to 100% of collectives")


def test_many_ranks_are_columns(open_job: OpenJob) -> None:
    page = open_job(build.job(64, 40))
    assert page.locator("#columns path").count() == 4
    assert page.locator("#columns .straggler-mark").inner_text() == "40 ▾"
    box = page.locator("#columns .rank-columns svg").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 40.5 / 64, box["y"] + 20)
    assert page.locator("#columns .said").inner_text().startswith("rank 40: compute 8.000, exposed")


def test_the_worst_rank_comes_first(open_job: OpenJob) -> None:
    page = open_job(build.job())
    first = rows(page, "ranks")[0]
    assert first == [
        *("2", "", "8.000", "1.000", "0.200", "0.800", "10.000", "0.500", "0", "100.0%", "4.000"),
        *("model.layers.1.mlp", "3.900"),
    ]
    page.locator("#ranks-grid .tabulator-row").first.click()
    assert "traces/rank2.json.gz" in page.locator("#ranks-grid-detail").inner_text()
    page.locator("#ranks-controls input").fill("rank3.json")
    expect(page.locator("#ranks-grid .tabulator-row")).to_have_count(1)
    assert rows(page, "ranks")[0][:3] == ["3", "", "6.000"]


def test_tables(open_job: OpenJob) -> None:
    page = open_job(build.job())
    assert rows(page, "collectives")[1] == [
        *("allreduce", "model", "default_pg 0", "4", "bfloat16", "20.000 MB", "4", "3"),
        *("1.500", "0.500", "12.000", "1.000", "1.250", "40.00", "60.00"),
    ]
    assert rows(page, "modules")[0] == [
        *("model.layers.1.mlp", "MLP", "4", "1.000", "1.000", "1.500", "3.000", "1.500", "100.0%", "2"),
        "1.000",
    ]
    assert [row[0] for row in rows(page, "steps")] == ["5", "6"]


def test_a_table_as_a_file(open_job: OpenJob) -> None:
    page = open_job(build.job())
    with page.expect_download() as download:
        page.locator("#ranks-controls").get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == "ranks.csv"
    found = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert sum(float(row["compute_us"]) for row in found) == 3 * 6_000 + 8_000
    assert found[0]["place"] == "model.layers.1.mlp"


def test_the_heat_map_says_what_is_under_the_pointer(open_job: OpenJob) -> None:
    page = open_job(build.job())
    canvas = page.locator("#heat canvas")
    assert (canvas.get_attribute("width"), canvas.get_attribute("height")) == ("4", "4")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.9)
    said = page.locator("#heat .said")
    expect(said).to_have_text(
        "rank 3, 5.00 ms – 10.00 ms: compute 60%, exposed communication 30%, copies 2%, idle 8%"
    )
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    expect(said).to_contain_text("compute —")
    drawn = "canvas => canvas.toDataURL()"
    before = canvas.evaluate(drawn)
    page.locator("#heat-part").select_option("idle")
    assert canvas.evaluate(drawn) != before
    assert page.locator("#heat .ramp").inner_text().split("\n")[-1] == "not recorded"


def test_bandwidths_are_drawn_over_size(open_job: OpenJob) -> None:
    page = open_job(build.job())
    dots = page.locator("#bandwidth div[lang=en] .dot")
    assert dots.count() == 2
    assert dots.nth(1).get_attribute("title") == (
        "allreduce, groups of 4, 20.000 MB: 60.00 GB/s; 3 collectives"
    )
    sizes = page.locator("#bandwidth div[lang=en] .size").all_inner_texts()
    assert sizes == ["1 MB", "10 MB"]


def test_languages_and_themes(open_job: OpenJob) -> None:
    page = open_job(build.job(), "ru")
    assert rows(page, "ranks")[0][2] == "8,000"
    page.locator("#language-switch").select_option("en")
    assert rows(page, "ranks")[0][2] == "8.000"
    assert page.locator("#headline dl[lang=ru]").is_hidden()
    page.locator("#theme-switch").select_option("dark")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("name", build.ALL)
def test_no_name_does_anything(open_job: OpenJob, name: str) -> None:
    page = open_job(build.ALL[name]())
    assert page.locator("main, header").locator("script, img, iframe, form").count() == 0
    for table in TABLES:
        if page.locator(f"#{table}-grid").count():
            page.locator(f"#{table}-grid .tabulator-row").first.click()
    if name == "hostile":
        assert clean(build.HOSTILE) in page.locator("#ranks-grid-detail").inner_text()


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("ranks", [4, 256])
def test_the_page_is_no_wider_than_the_window(open_job: OpenJob, width: int, ranks: int) -> None:
    page = open_job(build.job(ranks), viewport={"width": width, "height": 800})
    assert fits(page)


def test_a_page_of_4096_ranks_is_bounded(open_job: OpenJob) -> None:
    """Beside scripts and styles some 350 bytes a rank and a byte for each part and bin of the map."""
    data = build.job(4_096, 2_000, heat_map=build.heat_map(4_096, 48))
    assert len(render_page(data, "en")) < 3_500_000
    page = open_job(data)
    assert page.locator("#ranks-grid .tabulator-row").count() < 100  # those in sight
    assert rows(page, "ranks")[0][0] == "2,000"
    assert page.locator("#details tr").count() < 150


def test_the_map_is_written_in_bytes() -> None:
    document: dict[str, Any] = payload.payload(build.job(), {"en": Locale("en")}, "en")
    assert list(base64.b64decode(document["heat"]["compute"]))[:5] == [payload.UNKNOWN, 60, 60, 60, 60]
    assert json.loads(json.dumps(document["ranks"]))["compute_us"] == [6_000.0, 6_000.0, 8_000.0, 6_000.0]


def test_rows_that_the_page_lacks_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "TABLE_ROWS", 1)
    page = render_page(build.job(), "en")
    assert re.findall(r'lang="en"> (\d) more (?:is|are) in job\.json', page) == ["3", "1", "1", "1"]
