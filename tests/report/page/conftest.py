"""A browser for the tests of report.html: one for the package, a fresh page for each test.

A page fails its test when it writes to the console, throws, opens a dialogue, or asks for anything beside
its own file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, Request, ViewportSize, sync_playwright

from tests.report.page import reports
from tracekit.analysis.schema import Report
from tracekit.report.page import render_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Less of it would not be worth a failure on a busy machine with two cores.
TIMEOUT_MS = 20_000
VIEWPORT: ViewportSize = {"width": 1400, "height": 900}

OpenPage = Callable[..., Page]
PageOf = Callable[[str], Page]
PageFile = Callable[..., Path]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"none of {', '.join(BROWSERS)} is installed: run scripts/setup-browser")
        pytest.skip("no browser is installed: run scripts/setup-browser")
    with sync_playwright() as playwright:
        # Root needs no sandbox; a container's /dev/shm is too small for a page.
        chromium = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"], timeout=TIMEOUT_MS
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> PageFile:
    """The page of a report of `reports.ALL` in a language, written once."""
    folder = tmp_path_factory.mktemp("pages")

    def file(name: str, lang: str = "en") -> Path:
        path = folder / f"{name}-{lang}.html"
        if not path.exists():
            path.write_text(render_page(reports.report(name), lang), encoding="utf-8")
        return path

    return file


class Tab:
    """A page of the browser, and what it did that a page must not do."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": VIEWPORT, **options})
        self.context.set_default_timeout(TIMEOUT_MS)
        self.page = self.context.new_page()
        self.url = ""
        self.problems: list[str] = []
        self.page.on("request", self._request)
        self.page.on("dialog", self._dialogue)
        self.page.on("console", lambda message: self.problems.append(f"writes: {message.text}"))
        self.page.on("pageerror", lambda error: self.problems.append(f"throws {error}"))

    def _request(self, asked: Request) -> None:
        if asked.url.partition("#")[0] != self.url and not asked.url.startswith(("data:", "blob:")):
            self.problems.append(f"asks for {asked.url}")

    def _dialogue(self, shown: Dialog) -> None:
        self.problems.append(f"opens a dialogue: {shown.message}")
        shown.dismiss()

    def open(self, path: Path) -> Page:
        """Loads the file and waits until all of it is drawn."""
        self.url = path.as_uri()
        self.page.goto(self.url)
        assert self.problems == []
        self.page.wait_for_selector("html[data-ready]")
        return self.page

    def finish(self) -> None:
        """Fails the test for what its page did."""
        if self.page.evaluate("window.hacked") is not None:
            self.problems.append("a name from the trace was run as a script")
        found, self.problems = self.problems, []
        assert found == []


@pytest.fixture(scope="package")
def tab(browser: Browser) -> Iterator[Tab]:
    """One for all tests that need no options: a page that follows another one starts faster."""
    made = Tab(browser)
    yield made
    made.context.close()


@pytest.fixture
def open_page(browser: Browser, tab: Tab, page_file: PageFile, tmp_path: Path) -> Iterator[OpenPage]:
    """Opens a report, by name or as it is; options are those of a browser's context."""
    used: list[Tab] = []

    def opened(report: str | Report, lang: str = "en", **options: Any) -> Page:
        if isinstance(report, str):
            path = page_file(report, lang)
        else:
            path = tmp_path / f"{len(used)}.html"
            path.write_text(render_page(report, lang), encoding="utf-8")
        used.append(Tab(browser, **options) if options or used else tab)
        return used[-1].open(path)

    yield opened
    try:
        for one in used:
            one.finish()
    finally:
        for one in used:
            if one is not tab:
                one.context.close()


@pytest.fixture(scope="package")
def kept_tabs() -> Iterator[dict[str, Tab]]:
    tabs: dict[str, Tab] = {}
    yield tabs
    for one in tabs.values():
        one.context.close()


@pytest.fixture
def page_of(browser: Browser, page_file: PageFile, kept_tabs: dict[str, Tab]) -> Iterator[PageOf]:
    """The English page of a report that tests share: they leave nothing behind but switches and selection."""
    used: dict[str, Tab] = {}

    def opened(name: str) -> Page:
        if name not in kept_tabs:
            path = page_file(name)
            kept_tabs[name] = Tab(browser)
            kept_tabs[name].open(path)
        used[name] = kept_tabs[name]
        return used[name].page

    yield opened
    for one in used.values():
        if one.page.locator("#inspector").is_visible():
            one.page.keyboard.press("Escape")
            # The icicle has zoomed to what was selected.
            one.page.locator("#flame-chart").press("Home")
        for switch, value in (("#language-switch", "en"), ("#theme-switch", "auto")):
            if one.page.locator(switch).input_value() != value:
                one.page.select_option(switch, value)
        one.finish()
