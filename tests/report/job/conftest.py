"""The browser of the tests of report.html, also for the page of a job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.report.page.conftest import Tab, browser
from tracekit.analysis.ranks.schema import Job
from tracekit.report.job.page import render_page

__all__ = ["browser"]

OpenJob = Callable[..., Page]


@pytest.fixture
def open_job(browser: Browser, tmp_path: Path) -> Iterator[OpenJob]:
    """Opens the page of a job; options are those of a browser's context."""
    used: list[Tab] = []

    def opened(job: Job, lang: str = "en", **options: Any) -> Page:
        path = tmp_path / f"{len(used)}.html"
        path.write_text(render_page(job, lang), encoding="utf-8")
        used.append(Tab(browser, **options))
        return used[-1].open(path)

    yield opened
    try:
        for one in used:
            one.finish()
    finally:
        for one in used:
            one.context.close()
