"""Names that mean harm, in every place where a name stands: they are shown as they are, and do nothing.

That nothing of them runs, and that a page writes nothing to the console and asks for nothing, is held at the
end of every test by its fixtures.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.report.page import reports
from tests.report.page.conftest import OpenPage, PageOf
from tests.report.page.driving import choose, fits, option
from tests.report.page.test_tree import rows
from tracekit.report.escape import clean

# Of elements that no name may make; the page's own have none of them inside the views.
_HARM = "script, img, iframe, object, embed, form, svg, link, base, style, b[onclick], [onerror], [onload]"


def elements_of_names(page: Page) -> int:
    return page.locator("main, header, aside").locator(_HARM).count()


@pytest.fixture
def page(page_of: PageOf) -> Page:
    return page_of("hostile")


def test_everything_is_walked(page: Page) -> None:
    """Tree, panel, tables, charts: each with each name once, by pointer and keyboard."""
    page.get_by_role("button", name="Unfold all").click()
    for i in range(len(reports.report("hostile").modules)):
        choose(page, i)
        path = page.locator("#inspector .path bdi").evaluate("element => element.textContent")
        whole = clean(reports.report("hostile").modules[i].path)
        # Long ones are cut in their middle.
        start, _cut, end = path.partition("…")
        assert path == whole or (len(path) == 600 and whole.startswith(start) and whole.endswith(end))
    page.keyboard.press("Escape")
    for table in ("kernels-grid", "ops-grid"):
        for i in range(len(reports.HOSTILE)):
            page.locator(f'#{table} .tabulator-row[data-row="{i}"]').dispatch_event("click")
    for chart in ("flame-chart", "blocks-chart", "roofline-chart", "passes-chart", "timeline-chart"):
        box = page.locator(f"#{chart}")
        box.scroll_into_view_if_needed()
        place = box.bounding_box()
        assert place is not None
        left, top, width, height = (place[key] for key in ("x", "y", "width", "height"))
        box.focus()
        for key in ("ArrowDown", "ArrowRight", "ArrowRight", "Enter", "End", "Backspace", "Home"):
            page.keyboard.press(key)
        for x in range(1, 7):
            for y in (0.15, 0.45, 0.8):
                page.mouse.move(left + width * x / 7, top + height * y)
    assert elements_of_names(page) == 0


def test_names_are_shown_as_they_are(page: Page) -> None:
    page.get_by_role("button", name="Unfold all").click()
    shown = {row["module"] for row in rows(page)}
    for name in (
        "<script>window.hacked=1</script>",
        "\"'><img src=x onerror=window.hacked=1>",
        "{a|b}{hacked|c}",
        "${window.hacked=1}`",
        "&lt;b&gt;&amp;",
        "__proto__",
        "constructor",
        "hasOwnProperty",
    ):
        assert name in shown, name
    # What is not visible is written out.
    assert "\\u202eltr\\u202c\\u2066x\\u200f" in shown
    assert "line\\nbreak\\r\\ttab\\x00\\x1b[31m" in shown
    assert "\\ud800lone\\udfff" in shown
    # Names of kernels are shown without what stands in angle brackets; the hint has all of it.
    kernels = page.locator("#kernels-grid .name").evaluate_all("names => names.map((one) => one.title)")
    assert "</script><script>window.hacked=1</script>" in kernels
    kinds = {row["kind"] for row in rows(page, "kernels-grid")}
    assert {"constructor", "toString", "__proto__"} <= kinds
    assert elements_of_names(page) == 0


def test_long_names_keep_the_page_together(page: Page) -> None:
    for width in (1400, 700, 380):
        page.set_viewport_size({"width": width, "height": 900})
        assert fits(page), width
        choose(page, 2)
        assert fits(page), width
    page.set_viewport_size({"width": 1400, "height": 900})
    # Of 5,000 letters a cell has a few hundred, and their hint two thousand at most.
    longest = page.locator(".name").evaluate_all(
        "names => Math.max(...names.map((one) => one.textContent.length))"
    )
    assert longest <= 600
    hints = page.locator(".name").evaluate_all(
        "names => Math.max(...names.map((one) => Array.from(one.title).length))"
    )
    assert hints == 2000


def test_what_limits_is_no_property_of_an_object(page: Page) -> None:
    page.locator("#flame-controls select").select_option("limit")
    for i, row in enumerate(reports.report("hostile").modules):
        if row.limited_by in ("constructor", "toString", "__proto__", "hasOwnProperty"):
            choose(page, i)
            assert row.limited_by in page.locator("#inspector dl").inner_text()
    page.select_option("#language-switch", "ru")
    drawn = option(page, "roofline-chart", "series.find((one) => one.id === 'dots').data")
    assert all(isinstance(one["itemStyle"]["color"], str) for one in drawn)
    page.locator("#flame-controls select").select_option("type")


def test_search_and_paper_take_any_text(page: Page) -> None:
    box = page.locator("#tree-controls input[type=search]")
    found = page.locator("#tree-controls .found")
    for text in ("<script>", "[", "(.*", "${", "\\u202e"):
        box.fill(text)
        expect(found).not_to_have_text("")
        box.press("Escape")
        assert found.inner_text() == ""
    page.locator("#details details").first.locator("summary").click()
    assert page.pdf().startswith(b"%PDF-")
    assert elements_of_names(page) == 0


@pytest.mark.parametrize("name", ["</title><script>window.hacked=1</script>", "\ud800", "{{7*7}}", ""])
def test_a_model_of_any_name(open_page: OpenPage, name: str) -> None:
    from tests.report import build

    base = reports.small()
    page = open_page(build.changed(base, model=build.changed(base.model, name=name, class_=None)))
    assert page.locator("h1").inner_text() == (clean(name) if name else "small.json.gz")
