"""The page around its views: languages, themes, print, keyboard, findings, and the panel of the selection."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.report import build
from tests.report.page import reports
from tests.report.page.conftest import OpenPage, PageOf
from tests.report.page.driving import choose, fits, panel
from tracekit.report import view
from tracekit.report.escape import clean
from tracekit.report.i18n import LANGUAGES, Locale

NBSP = "\N{NO-BREAK SPACE}"


def colours(page: Page) -> tuple[str, str]:
    """Background and text of the page."""
    found = page.evaluate("({ ...getComputedStyle(document.body) })")
    return found["backgroundColor"], found["color"]


LIGHT, DARK = ("rgb(255, 255, 255)", "rgb(31, 35, 40)"), ("rgb(13, 17, 23)", "rgb(230, 237, 243)")


@pytest.mark.parametrize("name", reports.BROWSED)
def test_every_report_is_shown_in_every_language(page_of: PageOf, name: str) -> None:
    page = page_of(name)
    for lang in (*LANGUAGES, "en"):
        page.select_option("#language-switch", lang)
        assert page.locator("html").get_attribute("lang") == lang
        assert page.locator("h1").inner_text() == clean(view.title(reports.report(name)))
        assert page.title() == f"{clean(view.title(reports.report(name)))} · tracekit"
        # Of every text that stands there twice, the reader sees one.
        visible = "elements => elements.filter((element) => element.checkVisibility()).length"
        assert page.locator(f'[lang]:not(html):not([lang="{lang}"])').evaluate_all(visible) == 0
        assert page.locator(f'[lang="{lang}"]').evaluate_all(visible) > 10
        # Wide tables scroll by themselves.
        assert fits(page)


@pytest.mark.parametrize("name", build.ALL)
def test_reports_that_lack_something_open(open_page: OpenPage, name: str) -> None:
    page = open_page(build.ALL[name]())
    page.select_option("#language-switch", "ru")
    page.select_option("#theme-switch", "dark")
    assert page.locator("html").get_attribute("lang") == "ru"
    assert page.locator("#headline .tile:visible").count() >= 2


def test_no_english_is_left_in_russian(open_page: OpenPage) -> None:
    """What stands on the small page in Russian has Cyrillic letters, or is a name, a number or a unit."""
    page = open_page("small", "ru")
    page.locator('button[data-module="4"]:visible, .finding button:visible').first.click()
    places = (
        "main h2",
        ".note",
        "label > span",
        ".controls button",
        "#inspector dt",
        ".sort > span:first-child",
    )
    texts = [text for place in places for text in page.locator(f"{place}:visible").all_inner_texts()]
    assert len(texts) > 40
    assert {text for text in texts if not re.search("[а-яё]", text.lower())} == {"Roofline", "TFLOP/s"}


def test_the_language_is_switched(page_of: PageOf) -> None:
    page = page_of("small")
    page.locator(".finding button:visible").click()
    assert page.locator("#findings-title").inner_text() == "Findings"
    english = panel(page)
    assert english["Matrix FLOPs, over the whole trace"] == "12.346 GFLOPs"
    page.select_option("#language-switch", "ru")
    assert page.evaluate("document.documentElement.lang") == "ru"
    assert page.locator("#findings-title").inner_text() == "Выводы"
    russian = panel(page)
    assert russian["Матричных FLOPs, за всю трассу"] == "12,346 GFLOPs"
    assert russian["Параметров"] == f"4{NBSP}096"
    assert list(russian.values()) != list(english.values())
    page.select_option("#language-switch", "en")
    assert panel(page) == english


def test_a_plural_is_that_of_the_language(page_of: PageOf) -> None:
    page = page_of("small")
    assert "median of 2 passes" in page.locator("#headline").inner_text()
    page.select_option("#language-switch", "ru")
    assert "медиана 2 проходов" in page.locator("#headline").inner_text()


def test_the_theme_is_switched(page_of: PageOf) -> None:
    page = page_of("small")
    assert colours(page) == LIGHT
    page.select_option("#theme-switch", "dark")
    assert colours(page) == DARK
    page.select_option("#theme-switch", "light")
    assert colours(page) == LIGHT


def test_the_theme_is_that_of_the_system(open_page: OpenPage) -> None:
    page = open_page("small", color_scheme="dark")
    assert colours(page) == DARK
    page.emulate_media(color_scheme="light")
    expect(page.locator("body")).to_have_css("background-color", LIGHT[0])
    page.emulate_media(color_scheme="dark")
    expect(page.locator("body")).to_have_css("background-color", DARK[0])
    page.select_option("#theme-switch", "light")
    page.emulate_media(color_scheme="light")
    page.emulate_media(color_scheme="dark")
    assert colours(page) == LIGHT


def test_paper(open_page: OpenPage) -> None:
    page = open_page("small", color_scheme="dark")
    page.locator(".finding button:visible").click()
    page.emulate_media(media="print")
    for hidden in ("nav", ".switches", "#inspector", ".controls"):
        assert not any(element.is_visible() for element in page.locator(hidden).all()), hidden
    assert page.locator("h1").is_visible()
    pdf = page.pdf()
    assert pdf.startswith(b"%PDF-")
    assert len(pdf) > 20_000
    page.emulate_media(media="screen")
    assert page.locator("nav").is_visible()
    assert colours(page) == DARK


def test_the_keyboard_reaches_everything(open_page: OpenPage) -> None:
    page = open_page("small")
    reached: list[str] = []
    for _ in range(120):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "() => { const e = document.activeElement;"
            " return e === document.body ? '' : e.id || e.dataset.module || e.getAttribute('href')"
            " || e.closest('section, aside')?.id || e.tagName; }"
        )
        if not found or (reached and found == reached[0]):
            break
        reached.append(found)
    assert reached[:2] == ["theme-switch", "language-switch"]
    assert {"#headline", "#findings", "#tree", "#details"} <= set(reached)
    # The finding's module, then its summaries of tables.
    assert reached.index("language-switch") < reached.index("#findings") < reached.index("6")
    assert reached[-1] == "details"


def test_a_focus_is_seen(open_page: OpenPage) -> None:
    page = open_page("small")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_finding_selects_its_module(page_of: PageOf) -> None:
    page = page_of("small")
    assert not page.locator("#inspector").is_visible()
    page.locator(".finding button:visible").click()
    assert page.locator("#inspector .path").inner_text() == "layers.1.fc"
    # By hand from the small net: 300.25 µs in each of two passes, 12,345,678,901 FLOPs in 600.5 µs.
    assert page.locator("#inspector h2").inner_text().split() == ["fc", "Linear"]
    assert panel(page) == {
        "GPU time, per pass (median of 2 passes)": "300.25 µs",
        "self time, without modules inside": "300.25 µs",
        "CPU time, over the whole trace": "600.50 µs",
        "Calls, over the whole trace": "4",
        "Kernels, over the whole trace": "2",
        "Parameters": "4,096",
        "Matrix FLOPs, over the whole trace": "12.346 GFLOPs",
        "Achieved": "20.56 TFLOP/s",
        "Memory traffic": "3.3 GB/s",
        "FLOPs per byte": "6,172.84",
        "Bound reached": "25.0%",
        "Limited by": "memory",
        "To be won, per pass": "225.19 µs",
        "The GPU waits for its launches": "—",
    }
    page.locator("#inspector .crumbs button", has_text="1").click()
    assert page.locator("#inspector .path").inner_text() == "layers.1"
    assert panel(page)["GPU time, per pass (median of 2 passes)"] == "1.20 ms"
    assert panel(page)["self time, without modules inside"] == "200.00 µs"
    page.keyboard.press("Escape")
    assert not page.locator("#inspector").is_visible()


def test_the_panel_is_closed(page_of: PageOf) -> None:
    page = page_of("small")
    page.locator(".finding button:visible").click()
    page.locator("#inspector .close").click()
    expect(page.locator("#inspector")).to_be_hidden()


@pytest.mark.parametrize("name", reports.BROWSED)
def test_the_panel_says_what_report_json_says(page_of: PageOf, name: str) -> None:
    page, rows, locale = page_of(name), reports.document(name)["modules"], Locale("en")
    on_gpu = reports.document(name)["accounting"]["gpu_events"] > 0
    word, side = ("GPU time", "gpu") if on_gpu else ("CPU time", "cpu")
    main_phase = reports.document(name)["time"]["phase"]
    for i in [*range(0, len(rows), len(rows) // 6), len(rows) - 1]:
        choose(page, i)
        shown, row = panel(page), rows[i]
        time = next(value for key, value in shown.items() if key.startswith(f"{word}, per pass"))
        assert time == locale.duration(row[f"{side}_time_per_pass_us"])
        own = shown["self time, without modules inside"]
        assert own == locale.duration(row[f"{side}_self_time_per_pass_us"])
        calls = {p["phase"]: p["calls"] for p in row["phases"]}.get(main_phase)
        if calls is None:
            assert shown["Calls, over the whole trace"] == locale.count(row["calls"])
        else:
            assert shown["Calls, in the passes of this phase"] == locale.count(calls)
        assert shown["Parameters"] == locale.count(row["parameters"])
        assert shown["Matrix FLOPs, over the whole trace"] == locale.flops(row["matrix_flops"])
        assert shown["FLOPs per byte"] == locale.fixed(row["arithmetic_intensity"])
        if on_gpu:
            assert shown["Kernels, over the whole trace"] == locale.count(row["kernels"])
            assert shown["Achieved"] == locale.flops_rate(row["tflops"])
            assert shown["To be won, per pass"] == locale.duration(row["headroom_per_pass_us"])


def test_a_phase_is_chosen(page_of: PageOf) -> None:
    page, document, locale = page_of("generate"), reports.document("generate"), Locale("en")
    names = [row["name"] for row in document["phases"]]
    assert len(names) == 2
    choose(page, 3)
    figures: dict[str, Any] = {row["phase"]: row for row in document["modules"][3]["phases"]}
    for phase in names:
        page.select_option("#phase-switch", phase)
        shown = panel(page)
        time = next(value for key, value in shown.items() if key.startswith("CPU time, ") and phase in key)
        assert time == locale.duration(figures[phase]["cpu_time_per_pass_us"])


@pytest.mark.parametrize("lang", LANGUAGES)
def test_without_scripts_the_texts_are_there(
    open_page: OpenPage, page_file: Any, browser: Any, lang: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file("small", lang).as_uri())
    assert page.locator("noscript p:visible").count() == 1
    assert page.locator("#headline .tile:visible").count() >= 4
    assert page.locator(".finding:visible").count() == 2
    assert page.locator("details:visible").count() >= 4
    context.close()
