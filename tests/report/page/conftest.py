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
from playwright.sync_api import Browser, Page, sync_playwright

from tests.report.page import reports
from tracekit.analysis.schema import Report
from tracekit.report.page import render_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Less of it would not be worth a failure on a busy machine with two cores.
TIMEOUT_MS = 20_000

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


@pytest.fixture
def open_page(browser: Browser, page_file: PageFile, tmp_path: Path) -> Iterator[OpenPage]:
    """Opens a report, by name or as it is, and waits until all of it is drawn; options are a context's."""
    pages: list[Page] = []
    problems: list[str] = []

    def opened(report: str | Report, lang: str = "en", **options: Any) -> Page:
        if isinstance(report, str):
            path = page_file(report, lang)
        else:
            path = tmp_path / f"{len(pages)}.html"
            path.write_text(render_page(report, lang), encoding="utf-8")
        pages.append(load(browser, path, problems, **options))
        return pages[-1]

    yield opened
    for page in pages:
        finish(page, problems)
        page.context.close()


@pytest.fixture(scope="package")
def kept_pages(browser: Browser) -> Iterator[dict[str, tuple[Page, list[str]]]]:
    pages: dict[str, tuple[Page, list[str]]] = {}
    yield pages
    for page, _problems in pages.values():
        page.context.close()


@pytest.fixture
def page_of(
    browser: Browser, page_file: PageFile, kept_pages: dict[str, tuple[Page, list[str]]]
) -> Iterator[PageOf]:
    """The English page of a report that tests share: they leave but switches, selection, focus."""
    used: set[str] = set()

    def opened(name: str) -> Page:
        if name not in kept_pages:
            problems: list[str] = []
            kept_pages[name] = load(browser, page_file(name, "en"), problems), problems
        used.add(name)
        return kept_pages[name][0]

    yield opened
    for name in used:
        page, problems = kept_pages[name]
        page.keyboard.press("Escape")
        page.evaluate("document.activeElement?.blur()")
        page.select_option("#language-switch", "en")
        page.select_option("#theme-switch", "auto")
        finish(page, problems)


def load(browser: Browser, path: Path, problems: list[str], **options: Any) -> Page:
    context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    watch(page, path.as_uri(), problems)
    page.goto(path.as_uri())
    assert problems == []
    page.wait_for_selector("html[data-ready]")
    return page


def finish(page: Page, problems: list[str]) -> None:
    """Fails the test for what its page did."""
    if page.evaluate("window.hacked") is not None:
        problems.append("a name from the trace was run as a script")
    found, problems[:] = list(problems), []
    assert found == []


def watch(page: Page, url: str, problems: list[str]) -> None:
    """Collects what a page must not do."""

    def request(asked: Any) -> None:
        if asked.url.partition("#")[0] != url and not asked.url.startswith(("data:", "blob:")):
            problems.append(f"asks for {asked.url}")

    def dialogue(shown: Any) -> None:
        problems.append(f"opens a dialogue: {shown.message}")
        shown.dismiss()

    page.on("request", request)
    page.on("dialog", dialogue)
    page.on("console", lambda message: problems.append(f"writes to the console: {message.text}"))
    page.on("pageerror", lambda error: problems.append(f"throws {error}"))
