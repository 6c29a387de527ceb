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
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """The page of a report of `reports.ALL` in a language, written once."""
    folder = tmp_path_factory.mktemp("pages")

    def file(name: str, lang: str = "en") -> Path:
        path = folder / f"{name}-{lang}.html"
        if not path.exists():
            path.write_text(render_page(reports.report(name), lang), encoding="utf-8")
        return path

    return file


@pytest.fixture
def open_page(browser: Browser, page_file: Callable[[str, str], Path], tmp_path: Path) -> Iterator[OpenPage]:
    """Opens a report, by name or as it is, and waits until all of it is drawn; options are a context's."""
    contexts = []
    problems: list[str] = []

    def opened(report: str | Report, lang: str = "en", **options: Any) -> Page:
        if isinstance(report, str):
            path = page_file(report, lang)
        else:
            path = tmp_path / f"{len(contexts)}.html"
            path.write_text(render_page(report, lang), encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
        context.set_default_timeout(TIMEOUT_MS)
        contexts.append(context)
        page = context.new_page()
        watch(page, path.as_uri(), problems)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        return page

    yield opened
    for context in contexts:
        for page in context.pages:
            if page.evaluate("window.hacked") is not None:
                problems.append("a name from the trace was run as a script")
        context.close()
    assert problems == []


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
