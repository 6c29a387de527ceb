"""What the tests do with a page: select a module, read the panel, point at a chart and read its hint."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, Page

Hint = dict[str, str]


def choose(page: Page, module: int) -> None:
    """Selects a module as a finding's button does."""
    page.evaluate(
        "i => { const b = document.createElement('button'); b.dataset.module = i;"
        " document.body.append(b); b.click(); b.remove(); }",
        module,
    )


def panel(page: Page) -> dict[str, str]:
    """What the panel says of the selected module."""
    lines = page.locator("#inspector dl > div").evaluate_all(
        "lines => lines.map((line) => [...line.children].map((one) => one.innerText))"
    )
    return dict(lines)


def selected(page: Page) -> str:
    """The path of the selected module."""
    return page.locator("#inspector .path").inner_text()


def fits(page: Page) -> bool:
    """Whether the page is no wider than the window; it has a second to follow a change of that."""
    return page.evaluate(  # type: ignore[no-any-return]
        """() => new Promise((done) => {
             const until = performance.now() + 1000;
             const look = () => {
               const fits = document.documentElement.scrollWidth <= innerWidth;
               if (fits || performance.now() > until) done(fits);
               else requestAnimationFrame(look);
             };
             look();
           })"""
    )


def size(chart: Locator) -> tuple[float, float]:
    box = chart.bounding_box()
    assert box is not None
    return box["width"], box["height"]


def over(page: Page, chart: str, x: float, y: float) -> tuple[float, float]:
    """Moves the pointer over a place of a chart, px from its upper left corner; that place in the window."""
    # The driver's own pointing would first try places that the page's header or the panel covers.
    left, top = page.locator(f"#{chart}").evaluate(
        "box => { box.scrollIntoView({ block: 'center' }); const { x, y } = box.getBoundingClientRect();"
        " return [x, y]; }"
    )
    page.mouse.move(left + x, top + y)
    return left + x, top + y


def click(page: Page, chart: str, x: float, y: float, count: int = 1) -> None:
    at = over(page, chart, x, y)
    page.mouse.click(*at, click_count=count)


def point(page: Page, chart: str, x: float, y: float) -> tuple[str, Hint]:
    """Title and lines of the hint at a place of a chart."""
    # From elsewhere, so that what was shown before is gone.
    page.mouse.move(0, 0)
    over(page, chart, x, y)
    shown = page.locator(f"#{chart} div:has(> table)")
    shown.wait_for(timeout=5_000)
    title, lines = shown.evaluate(
        "hint => [hint.querySelector('b').textContent, [...hint.querySelectorAll('tr')]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))]"
    )
    return title, dict(lines)


def place(page: Page, chart: str, finder: dict[str, Any], value: Any) -> tuple[float, float]:
    """Where ECharts puts `value`, px from the chart's upper left corner."""
    x, y = page.evaluate(
        "([id, finder, value]) => echarts.getInstanceByDom(document.getElementById(id))"
        ".convertToPixel(finder, value)",
        [chart, finder, value],
    )
    return x, y


def option(page: Page, chart: str, path: str) -> Any:
    """A part of what a chart draws, by its path in the option: `series[0].data`."""
    return page.evaluate(
        f"id => echarts.getInstanceByDom(document.getElementById(id)).getOption().{path}", chart
    )


def milliseconds(text: str) -> float:
    """The number in a duration as it is written in English."""
    number, unit = re.fullmatch(r"([\d,.]+) (µs|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number.replace(",", "")) * {"µs": 1e-3, "ms": 1.0, "s": 1e3}[unit]
