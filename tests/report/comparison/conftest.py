"""The browser of the tests of report.html, also for the page of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.report.page.conftest import Tab, browser
from tracekit.analysis.compare.schema import Comparison
from tracekit.report.comparison.page import render_page

__all__ = ["browser"]

OpenComparison = Callable[..., Page]


@pytest.fixture
def open_comparison(browser: Browser, tmp_path: Path) -> Iterator[OpenComparison]:
    """Opens the page of a comparison; options are those of a browser's context."""
    used: list[Tab] = []

    def opened(comparison: Comparison, lang: str = "en", **options: Any) -> Page:
        path = tmp_path / f"{len(used)}.html"
        path.write_text(render_page(comparison, lang), encoding="utf-8")
        used.append(Tab(browser, **options))
        return used[-1].open(path)

    yield opened
    try:
        for one in used:
            one.finish()
    finally:
        for one in used:
            one.context.close()
