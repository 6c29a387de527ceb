"""The icicle of modules: where they stand, what is said of them, and how one zooms."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Page, expect

from tests.report.page import reports
from tests.report.page.conftest import OpenPage, PageOf
from tests.report.page.driving import choose, click, point, selected, size
from tracekit.report.i18n import Locale

CHART = "flame-chart"
ROW = 22  # px; rows of a chart that would be higher than 16 of them are lower


@dataclass
class Node:
    """A module with the time of its own code and of what is inside it, from report.json."""

    at: int
    type: str | None
    label: str
    time: float
    children: list[Node] = field(default_factory=list)


def in_order(nodes: list[Node]) -> list[Node]:
    """Longest first; those of a type that take more than half of its longest are ordered by their numbers."""
    longest: dict[str | None, float] = {}
    for node in nodes:
        longest[node.type] = max(node.time, longest.get(node.type, 0))

    def key(node: Node) -> tuple[float, list[tuple[int, str]]]:
        is_long = 2 * node.time > longest[node.type]
        number = [(int(digits or -1), word) for digits, word in re.findall(r"(\d+)|(\D+)", node.label)]
        return -(longest[node.type] if is_long else node.time), number

    return sorted((node for node in nodes if node.time > 0), key=key)


def tree(name: str) -> tuple[list[Node], int]:
    """The roots, and how many rows the modules that take time need."""
    document = reports.document(name)
    side = "gpu" if document["accounting"]["gpu_events"] else "cpu"
    rows = document["modules"]
    nodes = [
        Node(i, row["type"], row["path"].rpartition(".")[2], row[f"{side}_self_time_per_pass_us"])
        for i, row in enumerate(rows)
    ]
    position = {row["path"]: i for i, row in enumerate(rows)}
    roots = []
    for i, row in enumerate(rows):
        if row["parent"] is None:
            roots.append(nodes[i])
        else:
            nodes[position[row["parent"]]].children.append(nodes[i])

    def add_up(found: list[Node]) -> int:
        depth = max((add_up(node.children) for node in found), default=0)
        for node in found:
            node.time += sum(child.time for child in node.children)
        found[:] = in_order(found)
        return depth + 1 if found else 0

    rows_needed = add_up(roots)
    return roots, rows_needed + (len(roots) > 1)


def row_height(rows: int) -> float:
    return ROW * min(1.0, 16 / rows)


def crumbs(page: Page) -> str:
    return page.locator("#flame-crumbs").inner_text()


def test_widths_by_hand(page_of: PageOf) -> None:
    """Of 3000.5 µs, each block takes 1200 and `head` 600; in a block `attn` 699.75, `fc` 300.25."""
    page = page_of("small")
    width, height = size(page.locator(f"#{CHART}"))
    assert height == 3 * ROW
    scale = width / 3000.5
    for us, row, path, time in (
        (1500, 0, "Net", "3.00 ms"),
        (5, 1, "layers.0", "1.20 ms"),
        (1195, 1, "layers.0", "1.20 ms"),
        (1205, 1, "layers.1", "1.20 ms"),
        (2405, 1, "head", "600.00 µs"),
        (2995, 1, "head", "600.00 µs"),
        (5, 2, "layers.0.attn", "699.75 µs"),
        (695, 2, "layers.0.attn", "699.75 µs"),
        (705, 2, "layers.0.fc", "300.25 µs"),
        (995, 2, "layers.0.fc", "300.25 µs"),
        (1205, 2, "layers.1.attn", "699.75 µs"),
    ):
        title, lines = point(page, CHART, us * scale, (row + 0.5) * ROW)
        assert (title, lines["GPU time, per pass (median of 2 passes)"]) == (path, time)
    _title, lines = point(page, CHART, 705 * scale, 2.5 * ROW)
    # 300.25 µs of the 5500 µs of GPU time in a pass.
    assert lines["Share of a pass"] == "5.5%"
    assert lines["Achieved"] == "20.56 TFLOP/s"
    assert lines["Bound reached"] == "25.0%"


@pytest.mark.parametrize("name", [name for name in reports.BROWSED if name != "hostile"])
def test_modules_stand_where_their_time_puts_them(page_of: PageOf, name: str) -> None:
    page, document, locale = page_of(name), reports.document(name), Locale("en")
    side = "gpu" if document["accounting"]["gpu_events"] else "cpu"
    roots, rows = tree(name)
    width, height = size(page.locator(f"#{CHART}"))
    high = row_height(rows)
    assert height == pytest.approx(rows * high, abs=1)
    # Down the longest of each, and the first ones of each row.
    found, row, left, seen = roots, int(len(roots) > 1), 0.0, 0
    scale = width / sum(root.time for root in roots)
    while found:
        x = left
        for node in found[:3]:
            wide = node.time * scale
            if wide > 3:
                title, lines = point(page, CHART, x + wide / 2, (row + 0.5) * high)
                record = document["modules"][node.at]
                assert title == (record["path"] or record["type"])
                time = next(value for key, value in lines.items() if "per pass" in key)
                assert time == locale.duration(record[f"{side}_time_per_pass_us"])
                assert lines["Type"] == (record["type"] or "—")
                seen += 1
            x += wide
        found, row = found[0].children, row + 1
    assert seen > 4


def test_a_click_zooms_and_selects(page_of: PageOf) -> None:
    page = page_of("small")
    chart = page.locator(f"#{CHART}")
    width, _height = size(chart)
    expect(page.locator("#flame-out")).to_be_disabled()
    click(page, CHART, width * 0.6, 1.5 * ROW)
    assert selected(page) == "layers.1"
    assert "3.00 ms" not in crumbs(page)
    assert "1.20 ms" in crumbs(page)
    # Now layers.1 is as wide as the chart: attn 699.75 of 1200, fc 300.25.
    assert point(page, CHART, width * 0.57, 2.5 * ROW)[0] == "layers.1.attn"
    assert point(page, CHART, width * 0.60, 2.5 * ROW)[0] == "layers.1.fc"
    assert point(page, CHART, width * 0.82, 2.5 * ROW)[0] == "layers.1.fc"
    # What is above zooms out.
    click(page, CHART, width * 0.5, 0.5 * ROW)
    assert "3.00 ms" in crumbs(page)
    assert point(page, CHART, width * 0.6, 1.5 * ROW)[0] == "layers.1"
    click(page, CHART, width * 0.1, 2.5 * ROW)
    assert selected(page) == "layers.0.attn"
    page.locator("#flame-out").click()
    assert "1.20 ms" in crumbs(page)
    click(page, CHART, width * 0.5, 0.5 * ROW, count=2)
    assert "3.00 ms" in crumbs(page)


def test_the_keyboard_walks_and_zooms(page_of: PageOf) -> None:
    page = page_of("small")
    page.locator(f"#{CHART}").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert selected(page) == "layers.0"
    page.keyboard.press("ArrowRight")
    assert selected(page) == "layers.1"
    page.keyboard.press("ArrowDown")
    assert selected(page) == "layers.1.attn"
    page.keyboard.press("ArrowRight")
    assert selected(page) == "layers.1.fc"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert selected(page) == "layers.1"
    assert "1.20 ms" in crumbs(page)
    page.keyboard.press("Backspace")
    assert "3.00 ms" in crumbs(page)


def test_a_selection_elsewhere_comes_into_sight(page_of: PageOf) -> None:
    """A product of 11 of 172,000 µs is not drawn until it is asked for."""
    page = page_of("synthetic")
    position = {row["path"]: i for i, row in enumerate(reports.document("synthetic")["modules"])}
    path = "model.layers.3.moe.experts.40.up_proj"
    choose(page, position[path])
    assert "33.00 µs" in crumbs(page)
    width, _height = size(page.locator(f"#{CHART}"))
    # Of the expert's 33 µs `down_proj` takes 12, `gate_proj` 10 and `up_proj` 11.
    assert point(page, CHART, width * 22.5 / 33, 4.5 * ROW)[0] == path
    assert point(page, CHART, width * 21.5 / 33, 4.5 * ROW)[0] != path
    page.locator(f"#{CHART}").press("Home")


def test_what_is_too_narrow_is_one_and_opens(page_of: PageOf) -> None:
    """Of 48 experts in 1376 px of 172 blocks' time none is half a pixel wide until one zooms in."""
    page = page_of("synthetic")
    chart = page.locator(f"#{CHART}")
    width, _height = size(chart)
    # Block 0 has 1669 of 171,850 µs, 13 px; its experts a quarter of one each.
    title, lines = point(page, CHART, 8, 3.5 * ROW)
    assert title == "48 more"
    assert lines["Inside"] == "moe"
    click(page, CHART, 8, 3.5 * ROW)
    assert "1.58 ms" in crumbs(page)
    for e in (0, 20, 47):
        title, lines = point(page, CHART, width * (e + 0.5) / 48, 3.5 * ROW)
        assert title == f"model.layers.0.moe.experts.{e}"
        assert lines["GPU time, per pass (median of 2 passes)"] == "33.00 µs"
    chart.press("Home")


def test_the_backward_is_drawn_where_there_is_one(open_page: OpenPage) -> None:
    base = reports.small()
    from tests.report import build

    modules = tuple(
        build.changed(
            row,
            gpu_backward_time_per_pass_us=2 * (row.gpu_time_per_pass_us or 0),
            gpu_backward_self_time_per_pass_us=2 * (row.gpu_self_time_per_pass_us or 0) if i != 1 else 0.0,
        )
        for i, row in enumerate(base.modules)
    )
    types = tuple(build.changed(row, gpu_backward_self_time_us=1.0) for row in base.types)
    page = open_page(build.changed(base, modules=modules, types=types))
    width, _height = size(page.locator(f"#{CHART}"))
    page.select_option("#flame-side", "backward")
    # Without `head` there are 2401 of 4801 µs in each block.
    title, lines = point(page, CHART, width * 0.49, 1.5 * ROW)
    assert (title, lines["GPU time of its backward"]) == ("layers.0", "2.40 ms")
    assert point(page, CHART, width * 0.51, 1.5 * ROW)[0] == "layers.1"
    page.select_option("#flame-side", "both")
    # 600 of 7801.5 µs are the head's.
    assert point(page, CHART, width * (1 - 590 / 7801.5), 1.5 * ROW)[0] == "head"
    assert point(page, CHART, width * (1 - 610 / 7801.5), 1.5 * ROW)[0] == "layers.1"


def test_language_and_theme(page_of: PageOf) -> None:
    page = page_of("small")
    page.select_option("#language-switch", "ru")
    page.select_option("#theme-switch", "dark")
    width, _height = size(page.locator(f"#{CHART}"))
    title, lines = point(page, CHART, width * 0.1, 1.5 * ROW)
    assert title == "layers.0"
    assert next(time for label, time in lines.items() if label.startswith("Время GPU, ")) == "1,20 мс"
    assert page.evaluate(
        f"getComputedStyle(document.querySelector('#{CHART} div:has(> table)').parentElement).backgroundColor"
    ) == ("rgb(17, 22, 29)")
