"""Reports that no ordinary trace gives: the page opens, can be walked through, and shows no NaN."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.report import build
from tests.report.page import reports
from tests.report.page.conftest import OpenPage
from tests.report.page.driving import choose, fits, over
from tests.report.page.test_tree import search
from tracekit.analysis.schema import Report, Timeline, TimelineEvents, TimelineStream


def with_floats(value: float) -> Report:
    """The small report where every figure with decimals is `value`."""

    def changed(row: Any) -> Any:
        names = [name for name in row.__struct_fields__ if isinstance(getattr(row, name), float)]
        return build.changed(row, **dict.fromkeys(names, value))

    base = reports.small()
    tables = {
        name: tuple(changed(row) for row in getattr(base, name))
        for name in ("modules", "types", "blocks", "kernels", "ops", "passes")
    }
    return build.changed(base, time=changed(base.time), flops=changed(base.flops), **tables)


def of_modules(*modules: Any) -> Report:
    """The small report with other modules, and without what is told of its own."""
    return build.changed(reports.small(), modules=modules, blocks=(), findings=(), timeline=None)


def deep() -> Report:
    paths = [".".join("m" * depth) for depth in range(1, 201)]
    return of_modules(
        *(
            build.module(path, f"T{i % 3}", 1.0, parent=paths[i - 1] if i else None, depth=i)
            for i, path in enumerate(paths)
        )
    )


def strange_operands() -> Report:
    base = reports.small()
    texts = ("", "{}", "[", "null", "[null]", "[[[[1]]]]", '"x"', "[" * 5000 + "]" * 5000, "\x00")
    ops = tuple(build.changed(base.ops[0], name=f"op{i}", shapes=t, dtypes=t) for i, t in enumerate(texts))
    return build.changed(base, ops=ops)


def crowded() -> Report:
    """Eight devices with a hundred streams between them; 5,000 passes."""
    base = reports.small()
    events = TimelineEvents(
        start_us=tuple(float(i) for i in range(1000)),
        duration_us=(2.0,) * 1000,
        stream=tuple(i % 100 for i in range(1000)),
        module=tuple(i % 8 for i in range(1000)),
        kernel=(0,) * 1000,
        count=(1,) * 1000,
    )
    streams = tuple(TimelineStream(i % 8, i) for i in range(100))
    return build.changed(
        base,
        time=build.changed(base.time, passes=5000),
        passes=tuple(build.one_pass(i, 6000.0 + i % 7, outlier=i % 1000 == 999) for i in range(5000)),
        timeline=Timeline(0, 0.0, 1000.0, streams, ("kernel",), events),
    )


def no_passes() -> Report:
    base = build.empty()
    events = build.changed(reports.small().timeline.events, module=(None,) * 6)  # type: ignore[union-attr]
    timeline = build.changed(reports.small().timeline, pass_index=None, events=events, gaps=())
    return build.changed(base, timeline=timeline)


def orphans() -> Report:
    """Parents that are no modules, a block that is none, and two modules of one path."""
    base = reports.small()
    modules = [
        build.changed(row, parent="nowhere") if i in (2, 3) else row for i, row in enumerate(base.modules)
    ]
    blocks = tuple(build.changed(row, path=f"no.{row.path}") for row in base.blocks)
    return build.changed(base, modules=(*modules, base.modules[3]), blocks=blocks)


ODD: dict[str, Callable[[], Report]] = {
    "zeros": lambda: with_floats(0.0),
    "nan": lambda: with_floats(float("nan")),
    "huge": lambda: with_floats(1e300),
    "deep": deep,
    "many types": lambda: of_modules(*(build.module(f"a.b{i}", f"Type{i}", float(i)) for i in range(1000))),
    "untyped": lambda: of_modules(build.module("", None, 1.0)),
    "strange operands": strange_operands,
    "crowded": crowded,
    "no passes": no_passes,
    "orphans": orphans,
}


@pytest.mark.parametrize("name", ODD)
def test_it_can_be_walked_through(open_page: OpenPage, name: str) -> None:
    report = ODD[name]()
    page = open_page(report)
    for module in {0, len(report.modules) - 1} if report.modules else ():
        choose(page, module)
    for chart in page.locator("[id$=-chart]:visible").all():
        chart.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("End")
        over(page, chart.get_attribute("id") or "", 300, 20)
    page.select_option("#language-switch", "ru")
    page.select_option("#theme-switch", "dark")
    assert fits(page)
    shown = page.locator("main").inner_text()
    if name != "strange operands":
        assert not [word for word in ("NaN", "undefined", "Infinity", "null", "[object") if word in shown]


def test_operands_that_are_no_lists_are_shown_as_they_are(open_page: OpenPage) -> None:
    page = open_page(strange_operands())
    search(page, "op7", "1 match", view="ops")
    page.locator("#ops-grid .tabulator-row").first.click()
    assert json.dumps("[" * 5000)[1:-1] in page.locator("#ops-grid-detail").inner_text()
