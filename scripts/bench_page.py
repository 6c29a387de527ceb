"""`bench.py page`: what the page of a very large report costs, against an empty one and against report.json.

Needs what the tests need: the synthetic report of `tests/report/page`, and a browser (`setup-browser`).
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# From a click to the frame after the one that shows what it did.
_UNFOLD = """() => new Promise((done) => {
  const started = performance.now();
  document.querySelector("#tree-controls button").click();
  requestAnimationFrame(() => requestAnimationFrame(() => done((performance.now() - started) / 1000)));
})"""
_READY = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd / 1000"


@dataclass(frozen=True)
class Timing:
    """Median seconds of `what` over rounds, and the median of its ratios to `floor`, with the quartiles."""

    what: str
    seconds: float
    floor: str
    ratio: float
    quartiles: tuple[float, float]


def bench_page(rounds: int, smoke: bool) -> list[Timing]:
    """Measure and print: the size of the page, building it, opening it, and unfolding its tree."""
    from playwright.sync_api import sync_playwright

    from tests.report.page import reports
    from tests.report.page.conftest import BROWSERS
    from tracekit.report.json import render_json
    from tracekit.report.page import VENDOR_SCRIPTS, _source, render_page

    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_path is None:
        sys.exit("bench.py page: no browser is installed: run scripts/setup-browser")
    report = reports.small() if smoke else reports.synthetic()
    vendor = "".join(f"<script>{_source(f'vendor/{name}')}</script>" for name in VENDOR_SCRIPTS)
    runs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file, empty_file = Path(folder, "page.html"), Path(folder, "empty.html")
        empty_file.write_text(f"<!DOCTYPE html><body>{vendor}", encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for _ in range(rounds):
            seconds: dict[str, float] = {}
            written, seconds["write report.json"] = timed(lambda: render_json(report))
            html, seconds["build the page"] = timed(lambda: render_page(report, "en"))
            page_file.write_text(html, encoding="utf-8")
            for name, file in (("open an empty page", empty_file), ("open the page", page_file)):
                page = browser.new_page(viewport={"width": 1400, "height": 900})
                page.goto(file.as_uri())
                seconds[name] = page.evaluate(_READY)
                if file is page_file:
                    page.wait_for_selector("html[data-ready]")
                    seconds["unfold all modules"] = page.evaluate(_UNFOLD)
                page.close()
            runs.append(seconds)
        browser.close()
    size, data = len(html.encode()), len(html.encode()) - len(render_page(reports.small(), "en").encode())
    print(
        f"{len(report.modules)} modules, {len(report.ops)} operators, {rounds} rounds: the page has"
        f" {size / 1e6:.2f} MB, {data / 1e6:.2f} more than that of a small report; report.json"
        f" {len(written) / 1e6:.2f}"
    )
    return [
        summed(runs, "build the page", "write report.json"),
        summed(runs, "open the page", "open an empty page"),
        summed(runs, "unfold all modules", "open an empty page"),
    ]


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    made = work()
    return made, time.perf_counter() - started


def summed(runs: list[dict[str, float]], what: str, floor: str) -> Timing:
    """Medians of `runs`, printed."""
    ratios = [run[what] / run[floor] for run in runs]
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    timing = Timing(what, statistics.median(run[what] for run in runs), floor, middle, (low, high))
    print(f"{what:20}{timing.seconds:9.3f} s{middle:9.2f} × {floor} ({low:.2f} … {high:.2f})")
    return timing
