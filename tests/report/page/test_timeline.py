"""The timeline: where events, modules and gaps stand, what is said of them, and how one moves in it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.report.page import reports
from tests.report.page.conftest import PageOf
from tests.report.page.driving import choose, click, option, over, place, point, selected
from tracekit.report.i18n import Locale

CHART = "timeline-chart"


def lanes(page: Page) -> list[str]:
    """Names of the lanes from the top down; inner lanes of modules have none."""
    return page.evaluate(  # type: ignore[no-any-return]
        "id => { const { data, axisLabel } = echarts.getInstanceByDom(document.getElementById(id))"
        ".getOption().yAxis[0]; return data.map((number) => axisLabel.formatter(number)); }",
        CHART,
    )


def at(page: Page, us: float, lane: int) -> tuple[float, float]:
    return place(page, CHART, {"xAxisIndex": 0, "yAxisIndex": 0}, [us, lane])


def window(page: Page) -> tuple[float, float]:
    zoom = option(page, CHART, "dataZoom[0]")
    return zoom["startValue"], zoom["endValue"]


def test_events_by_hand(page_of: PageOf) -> None:
    page = page_of("small")
    names = lanes(page)
    assert [name for name in names if name and name != "modules"] == ["stream 7", "stream 20", "idle"]
    first, second, idle = (names.index(name) for name in ("stream 7", "stream 20", "idle"))
    for us, lane, kernel, duration, module in (
        (350, first, "softmax", "699.75 µs", "layers.0.attn"),
        (1100, first, "gemm", "200.00 µs", "layers.0"),
        (3500, first, "gemm", "600.00 µs", "outside modules"),
        (800, second, "gemm", "300.25 µs", "layers.0.fc"),
        (2600, second, "gemm", "300.25 µs", "layers.1.fc"),
    ):
        title, lines = point(page, CHART, *at(page, us, lane))
        assert (title, lines["Duration"], lines["Module"]) == (kernel, duration, module)
    _title, lines = point(page, CHART, *at(page, 1800, first))
    assert lines["GPU events drawn as one, this is the longest"] == "3"
    assert lines["Begins at"] == "1.500 ms"
    assert lines["Limited by"].startswith("comput")
    title, lines = point(page, CHART, *at(page, 1350, idle))
    assert title == "idle: the GPU waits for launches"
    assert (lines["Duration"], lines["Ended by work of"]) == ("300.00 µs", "layers.1.attn")
    title, lines = point(page, CHART, *at(page, 2350, idle))
    assert title == "idle: the GPU waits after a synchronisation"
    assert lines["Call that waited"] == "cudaStreamSynchronize"


def test_modules_stand_above_what_they_launched(page_of: PageOf) -> None:
    page = page_of("small")
    names = lanes(page)
    found = {
        point(page, CHART, *at(page, us, lane))[0]
        for us, lane in ((350, 0), (350, 1), (350, 2))
        if lane < names.index("stream 7")
    }
    assert {"layers.0", "layers.0.attn"} <= found


@pytest.mark.parametrize("name", ["qwen", "synthetic"])
def test_events_are_those_of_report_json(page_of: PageOf, name: str) -> None:
    page, document, locale = page_of(name), reports.document(name), Locale("en")
    timeline = document["timeline"]
    events, names = timeline["events"], lanes(page)
    streams = [timeline["streams"][stream]["stream"] for stream in events["stream"]]
    longest = sorted(range(len(streams)), key=lambda i: -events["duration_us"][i])[:4]
    for i in longest:
        start, us = events["start_us"][i], events["duration_us"][i]
        lane = names.index(f"stream {streams[i]}")
        page.evaluate(
            "([id, from, to]) => echarts.getInstanceByDom(document.getElementById(id))"
            ".dispatchAction({ type: 'dataZoom', startValue: from, endValue: to })",
            [CHART, start - us, start + 2 * us],
        )
        _title, lines = point(page, CHART, *at(page, start + us / 2, lane))
        assert lines["Duration"] == locale.duration(us)
        assert lines["Begins at"] == f"{locale.milliseconds(start)} ms"
        module = events["module"][i]
        expected = "outside modules" if module is None else document["modules"][module]["path"]
        assert lines["Module"] == expected
    page.locator("#timeline-reset").click()
    assert window(page)[0] == 0


def test_the_keyboard_zooms_and_moves(page_of: PageOf) -> None:
    page = page_of("small")
    whole = window(page)
    assert whole == (0, 6000)
    page.locator(f"#{CHART}").focus()
    page.keyboard.press("+")
    assert window(page) == pytest.approx((1500, 4500))
    page.keyboard.press("+")
    assert window(page) == pytest.approx((2250, 3750))
    page.keyboard.press("ArrowRight")
    assert window(page) == pytest.approx((2550, 4050))
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("-")
    assert window(page) == pytest.approx((1500, 4500))
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    assert window(page) == pytest.approx((3000, 6000))
    page.keyboard.press("Home")
    assert window(page) == whole


def test_the_wheel_zooms_with_the_control_key_only(page_of: PageOf) -> None:
    page = page_of("small")
    over(page, CHART, 700, 60)
    # A chart that has the focus keeps the wheel.
    page.evaluate("document.activeElement.blur()")
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, -200)
    page.wait_for_timeout(200)
    assert window(page) == (0, 6000)
    assert page.evaluate("scrollY") != before
    over(page, CHART, 700, 60)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    page.wait_for_timeout(200)
    left, right = window(page)
    assert 0 < left < right < 6000
    page.locator("#timeline-reset").click()


def test_gaps_are_listed_and_shown(page_of: PageOf) -> None:
    page = page_of("small")
    rows = page.locator("#timeline-gaps tbody tr")
    assert [row.locator("td").all_inner_texts() for row in rows.all()] == [
        ["300.00 µs", "1.200 ms", "the GPU waits for launches", "layers.1.attn", "—"],
        [
            "300.00 µs",
            "2.200 ms",
            "the GPU waits after a synchronisation",
            "layers.1.fc",
            "cudaStreamSynchronize",
        ],
    ]
    rows.nth(1).locator("button").first.click()
    left, right = window(page)
    assert left < 2200 < 2500 < right < 6000
    rows.nth(1).locator("button").nth(1).click()
    assert selected(page) == "layers.1.fc"
    page.locator("#timeline-reset").click()


def test_a_click_selects_and_enter_zooms_to_it(page_of: PageOf) -> None:
    page = page_of("small")
    names = lanes(page)
    x, y = at(page, 2600, names.index("stream 20"))
    click(page, CHART, x, y)
    assert selected(page) == "layers.1.fc"
    page.locator(f"#{CHART}").focus()
    page.keyboard.press("Enter")
    left, right = window(page)
    assert (left, right) == pytest.approx((2500, 2800.25))
    page.locator("#timeline-reset").click()


def test_a_selection_elsewhere_comes_into_sight(page_of: PageOf) -> None:
    page = page_of("synthetic")
    page.evaluate(
        "id => echarts.getInstanceByDom(document.getElementById(id))"
        ".dispatchAction({ type: 'dataZoom', startValue: 0, endValue: 500 })",
        CHART,
    )
    # The event of module i starts at 10 i µs.
    choose(page, 12_345)
    expect(page.locator("#inspector")).to_be_visible()
    left, right = window(page)
    assert left < 123_450 < right
    assert right - left == pytest.approx(500, abs=1)
    page.locator("#timeline-reset").click()


def test_no_timeline_without_events(page_of: PageOf) -> None:
    page = page_of("sample")
    assert page.locator("#timeline").count() == 0
    assert page.locator('nav a[href="#timeline"]').count() == 0


def test_language(page_of: PageOf) -> None:
    page = page_of("small")
    page.select_option("#language-switch", "ru")
    title, lines = point(page, CHART, *at(page, 1350, len(lanes(page)) - 1))
    assert title == "простой: GPU ждёт запусков"
    assert "300,00 мкс" in lines.values()
    assert page.locator("#timeline-gaps tbody tr").first.locator("td").all_inner_texts()[:2] == [
        "300,00 мкс",
        "1,200 мс",
    ]
