"""The tree of modules: its figures, sorting, search, unfolding, and what is selected with it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.report.page import reports
from tests.report.page.conftest import OpenPage, PageOf
from tests.report.page.driving import choose, selected
from tracekit.report.escape import clean
from tracekit.report.i18n import Locale

NBSP = "\N{NO-BREAK SPACE}"


def grid(page: Page) -> Locator:
    return page.locator("#tree-grid")


def rows(page: Page, table: str = "tree-grid") -> list[dict[str, str]]:
    """The rows that are drawn, in their order: the text of each column by its id, and the row's number."""
    found: list[dict[str, str]] = page.locator(f"#{table} .tabulator-row").evaluate_all(
        """rows => rows.map((row) => ({ row: row.dataset.row, ...Object.fromEntries([...row.children]
             .filter((cell) => cell.style.display !== "none" && cell.getAttribute("tabulator-field"))
             .map((cell) => [cell.getAttribute("tabulator-field"),
                             (cell.querySelector(".bar-value") ?? cell).innerText.trim()])) }))"""
    )
    return found


def labels(page: Page) -> list[str]:
    return [row["module"] for row in rows(page)]


def head(page: Page, column: str, table: str = "tree-grid") -> Locator:
    return page.locator(f'#{table} .tabulator-col[tabulator-field="{column}"] button')


def search(page: Page, text: str, found: str, view: str = "tree") -> None:
    page.locator(f"#{view}-controls input[type=search]").fill(text)
    # Searching waits until one has stopped typing.
    expect(page.locator(f"#{view}-controls .found")).to_have_text(found)


def test_figures_by_hand(open_page: OpenPage) -> None:
    page = open_page("small")
    found = {row["module"]: row for row in rows(page)}
    # Blocks are not unfolded at first; the longest come first.
    assert list(found) == ["Net", "layers.0", "layers.1", "head"]
    assert found["layers.0"] | {"row": ""} == {
        "row": "",
        "module": "layers.0",
        "type": "Block",
        "time": "1.200",
        "self": "0.200",
        "calls": "2",
        "tflops": "—",
        "bound": "—",
        "limit": "—",
        "won": "—",
    }
    assert found["head"]["time"] == "0.600"


@pytest.mark.parametrize("name", reports.BROWSED)
def test_every_figure_is_that_of_report_json(page_of: PageOf, name: str) -> None:
    page, document, locale = page_of(name), reports.document(name), Locale("en")
    side = "gpu" if document["accounting"]["gpu_events"] else "cpu"
    found = rows(page)
    assert len(found) >= min(4, len(document["modules"]))
    for shown in found:
        row = document["modules"][int(shown["row"])]
        assert shown["time"] == locale.milliseconds(row[f"{side}_time_per_pass_us"])
        assert shown["self"] == locale.milliseconds(row[f"{side}_self_time_per_pass_us"])
        if len(row["phases"]) < 2:
            assert shown["calls"] == locale.count(row["calls"])
        if "tflops" in shown and len(row["phases"]) < 2:
            assert shown["tflops"] == locale.fixed(row["tflops"])
        if "won" in shown:
            assert shown["won"] == locale.milliseconds(row["headroom_per_pass_us"])
        if "bound" in shown and not row["beats_bound"]:
            assert shown["bound"] == locale.percent(row["bound_share"])


def test_unknown_figures_are_last_in_either_order(open_page: OpenPage) -> None:
    page = open_page("small")
    page.get_by_role("button", name="Unfold all").click()
    for times in (1, 2):
        head(page, "tflops").click()
        found = [row["tflops"] for row in rows(page)]
        # In each block: fc 20.56, attn 70.57; blocks and head have none.
        assert found.count("—") == 4
        first = [row["module"] for row in rows(page) if row["module"] in ("attn", "fc")][:2]
        assert first == (["attn", "fc"] if times == 1 else ["fc", "attn"])


def test_it_unfolds(open_page: OpenPage) -> None:
    page = open_page("small")
    row = grid(page).locator('.tabulator-row[data-row="2"]')
    assert row.get_attribute("aria-expanded") == "false"
    row.locator(".toggle").click()
    assert row.get_attribute("aria-expanded") == "true"
    assert labels(page) == ["Net", "layers.0", "attn", "fc", "layers.1", "head"]
    assert [one.get_attribute("aria-level") for one in grid(page).locator(".tabulator-row").all()] == [
        "1",
        "2",
        "3",
        "3",
        "2",
        "2",
    ]
    # The toggle alone does not select.
    assert not page.locator("#inspector").is_visible()
    row.locator(".toggle").click()
    assert labels(page) == ["Net", "layers.0", "layers.1", "head"]
    page.get_by_role("button", name="Unfold all").click()
    assert labels(page) == ["Net", "layers.0", "attn", "fc", "layers.1", "attn", "fc", "head"]
    page.get_by_role("button", name="Fold all", exact=True).click()
    assert labels(page) == ["Net"]


def test_it_searches_paths_and_types(open_page: OpenPage) -> None:
    page = open_page("small")
    search(page, "attn", "2 matches")
    # What matches, with what is around it.
    assert labels(page) == ["Net", "layers.0", "attn", "layers.1", "attn"]
    assert grid(page).locator("mark").all_inner_texts() == ["attn", "attn"]
    search(page, "LAYERS.1.FC", "1 match")
    assert labels(page) == ["Net", "layers.1", "fc"]
    search(page, "linear", "3 matches")
    assert [row["module"] for row in rows(page) if row["type"] == "Linear"] == ["fc", "fc", "head"]
    search(page, "nowhere", "no matches")
    assert labels(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#tree-controls .found")).to_have_text("")
    assert labels(page) == ["Net", "layers.0", "layers.1", "head"]


def test_twenty_thousand_modules(open_page: OpenPage) -> None:
    page = open_page("synthetic")

    # It sorts within parents, the third time as at first; by number, not by letter.
    assert labels(page)[:4] == ["model", "layers.99", "layers.98", "layers.97"]
    head(page, "time").click()
    assert labels(page)[:3] == ["model", "layers.0", "layers.1"]
    assert grid(page).locator('[aria-sort="ascending"]').inner_text().startswith("GPU time")
    head(page, "module").click()
    assert labels(page)[:4] == ["model", "layers.0", "layers.1", "layers.2"]
    head(page, "module").click()
    assert labels(page)[:2] == ["model", "layers.99"]
    head(page, "module").click()
    assert labels(page)[:2] == ["model", "layers.99"]
    assert grid(page).locator('[aria-sort="descending"]').inner_text().startswith("GPU time")

    search(page, "layers.42.moe.experts.7.", "3 matches")
    assert labels(page) == ["model", "layers.42", "moe", "experts.7", "down_proj", "up_proj", "gate_proj"]
    search(page, "experts.47", "400 matches")
    page.locator("#tree-flat").check()
    assert len(rows(page)) < 100
    # Of the products of the last experts `down_proj` takes most, 12 µs, in each block.
    assert labels(page)[0] == "model.layers.0.moe.experts.47.down_proj"
    assert rows(page)[0]["self"] == "0.012"
    page.locator("#tree-flat").uncheck()
    page.locator("#tree-controls input[type=search]").press("Escape")

    # What is selected elsewhere comes into sight, inside the table alone: the page stays where it was.
    position = {row["path"]: i for i, row in enumerate(reports.document("synthetic")["modules"])}
    at, before = position["model.layers.3.moe.experts.40.up_proj"], page.evaluate("scrollY")
    choose(page, at)
    row = grid(page).locator(f'.tabulator-row[data-row="{at}"]')
    assert "selected" in (row.get_attribute("class") or "")
    box, table = row.bounding_box(), grid(page).bounding_box()
    assert box is not None
    assert table is not None
    assert table["y"] < box["y"] < table["y"] + table["height"]
    assert page.evaluate("scrollY") == before

    # Only what is in sight is drawn. The last of the shortest block is its norm of 5 µs.
    page.get_by_role("button", name="Unfold all").click()
    assert grid(page).get_attribute("aria-rowcount") == "20002"
    assert grid(page).locator(".tabulator-row").count() < 100
    grid(page).locator(".tabulator-tableholder").evaluate("e => { e.scrollTop = e.scrollHeight; }")
    expect(grid(page).locator(".tabulator-row").last).to_have_attribute("aria-rowindex", "20002")
    assert labels(page)[-1] == "norm"
    assert rows(page)[-1]["time"] == "0.0050"
    assert grid(page).locator(".tabulator-row").count() < 100


def test_a_click_selects(open_page: OpenPage) -> None:
    page = open_page("small")
    grid(page).locator('.tabulator-row[data-row="5"] .module .name').click()
    assert selected(page) == "layers.1"
    assert grid(page).locator(".selected").get_attribute("data-row") == "5"
    assert grid(page).locator('[aria-selected="true"]').count() == 1


def test_the_keyboard_walks_unfolds_and_selects(open_page: OpenPage) -> None:
    page = open_page("small")
    grid(page).locator(".tabulator-row").first.focus()
    focused = "document.activeElement.querySelector('.name').innerText"
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "layers.0"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == "attn"
    page.keyboard.press("Enter")
    assert selected(page) == "layers.0.attn"
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(focused) == "layers.0"
    page.keyboard.press("ArrowLeft")
    assert labels(page) == ["Net", "layers.0", "layers.1", "head"]
    page.keyboard.press("End")
    assert page.evaluate(focused) == "head"
    page.keyboard.press("Home")
    assert page.evaluate(focused) == "Net"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"


def test_language(page_of: PageOf) -> None:
    page = page_of("small")
    page.select_option("#language-switch", "ru")
    found = rows(page)[1]
    assert (found["time"], found["self"]) == ("1,200", "0,200")
    assert head(page, "time").inner_text().startswith("Время GPU (мс)")


def test_a_phase(open_page: OpenPage) -> None:
    page, document, locale = open_page("generate"), reports.document("generate"), Locale("en")
    for phase in [row["name"] for row in document["phases"]]:
        page.select_option("#phase-switch", phase)
        for shown in rows(page):
            own = next(
                row for row in document["modules"][int(shown["row"])]["phases"] if row["phase"] == phase
            )
            assert shown["time"] == locale.milliseconds(own["cpu_time_per_pass_us"])
            assert shown["self"] == locale.milliseconds(own["cpu_self_time_per_pass_us"])
            assert shown["calls"] == locale.count(own["calls"])


@pytest.mark.parametrize("name", ["small", "hostile", "synthetic"])
def test_the_file_has_the_numbers_of_report_json(open_page: OpenPage, tmp_path: Path, name: str) -> None:
    page = open_page(name)
    page.locator("#tree-flat").check()
    with page.expect_download() as waiting:
        page.locator("#tree-controls").get_by_role("button", name="CSV").click()
    assert waiting.value.suggested_filename == "modules.csv"
    waiting.value.save_as(tmp_path / "modules.csv")
    with (tmp_path / "modules.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    expected = sorted(
        enumerate(reports.document(name)["modules"]),
        key=lambda pair: (-pair[1]["gpu_self_time_per_pass_us"], pair[0]),
    )
    assert len(found) == len(expected)
    for line, (at, row) in zip(found, expected, strict=True):
        for field in line.keys() - {"path", "type", "limited_by"}:
            assert line[field] == "" if row[field] is None else float(line[field]) == row[field]
        if name != "hostile":
            assert line["path"] == row["path"]
        # What a spreadsheet would take for a formula is text.
        assert not line["path"].startswith(("=", "+", "-", "@"))
        assert clean(reports.report(name).modules[at].type or "") in (line["type"], line["type"][1:])
