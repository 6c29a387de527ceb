"""Frames as a notebook shows them: headers with units, numbers grouped or scaled, bars for times.

The frames themselves stay plain. Names from a trace are cut and escaped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_float_dtype, is_integer_dtype, is_numeric_dtype

from tracekit.analysis.schema import Report
from tracekit.messages import N_, UserError
from tracekit.report import view
from tracekit.report.escape import clean, elide
from tracekit.report.i18n import DASH, Locale
from tracekit.report.palette import BLUE
from tracekit.report.tables.columns import HTA_TABLES, NESTED_TABLES, TABLES, TIMELINE
from tracekit.report.tables.frames import frame
from tracekit.report.tables.labels import SENTENCES, WORDS, header_of, unit_of

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

NAMES = (*TABLES, *NESTED_TABLES, *HTA_TABLES, TIMELINE)
NAME_WIDTH = 80
_BAR = f"{BLUE}59"  # a third opaque: readable on white and on black


def styled_table(report: Report, name: str, top: int, locale: Locale) -> Styler:
    """The first `top` rows of a table, of modules those with most self time; what says little is left out.

    Raises `UserError` for a table that there is not.
    """
    if name not in NAMES:
        raise UserError(
            N_("there is no table {name}; choose one of: {known}", name=repr(name), known=", ".join(NAMES))
        )
    table = frame(report, name)
    if name == "modules":
        table = table.iloc[_by_self_time(report)]
    wanted = _columns(report).get(name, list(table.columns))
    if not view.has_gpu(report):
        wanted = [column for column in wanted if not _is_of_gpu(column)]
    known = [column for column in wanted if len(table) == 0 or table[column].notna().any()]
    return styled(table[known].reset_index(drop=True), top, locale)


def styled(table: pd.DataFrame | pd.Series[Any], top: int, locale: Locale) -> Styler:
    """The first `top` rows of any frame; columns that are the report's own get their names and units."""
    if isinstance(table, pd.Series):
        table = table.to_frame()

    def header(label: Any) -> str:
        return escape(header_of(_name(label), locale))

    shown = table.head(top)
    if not shown.index.is_unique:
        shown = shown.reset_index(drop=shown.index.names == [None])  # else a Styler cannot draw bars
    shown = shown.rename_axis(index=lambda name: None if name is None else header(name))
    style: Styler = shown.style.format(
        {column: _formatter(column, shown[column], locale) for column in shown.columns}, na_rep=DASH
    )
    style = style.format_index(_escaped, axis=0).format_index(_escaped, axis=1)
    if shown.columns.nlevels == 1 and len(shown.columns):
        style = style.relabel_index([header(one) for one in shown.columns], axis=1)
    if shown.index.names == [None] and is_integer_dtype(shown.index):
        style = style.hide(axis="index")  # of rows that are just numbered
    times = [one for one in shown.columns if _is_time(one, shown[one])]
    if times:
        style = style.bar(subset=times, color=_BAR, vmin=0, height=70, width=95)
    style.set_table_styles(_COMPACT).set_table_styles(_of_columns(shown), overwrite=False)
    if len(shown) < len(table):
        rows = locale._("{shown} of {all} rows")
        style = style.set_caption(rows.format(shown=locale.count(len(shown)), all=locale.count(len(table))))
    return style


_COMPACT: list[Any] = [
    {"selector": "td", "props": "white-space: nowrap; font-variant-numeric: tabular-nums; padding: 2px 8px;"},
    {"selector": "th", "props": "text-align: left; vertical-align: bottom; padding: 2px 8px;"},
    {"selector": "caption", "props": "caption-side: bottom; text-align: left; opacity: .7;"},
]


def _of_columns(table: pd.DataFrame) -> Any:
    def props(name: Any) -> str:
        if name in SENTENCES:
            return "text-align: left; white-space: normal; min-width: 18rem;"
        return f"text-align: {'right' if is_numeric_dtype(table[name]) else 'left'};"

    return {one: [{"selector": "td, th", "props": props(one)}] for one in table.columns}


def _is_time(name: Any, column: pd.Series[Any]) -> bool:
    return (
        name != "start_us"
        and unit_of(_name(name)) == "us"
        and is_float_dtype(column)
        and bool((column > 0).any())
    )


def _name(label: Any) -> str:
    """The field that a column is of: of those that `agg` makes, the first of the labels."""
    return f"{label[0] if isinstance(label, tuple) else label}"


def _escaped(label: Any) -> str:
    return escape(elide(clean(f"{label}"), NAME_WIDTH))


def _formatter(name: Any, column: pd.Series[Any], locale: Locale) -> Callable[[Any], str]:
    """How the values of a column are written; the unknown never gets here."""
    if is_bool_dtype(column):
        return lambda value: "✓" if value else ""
    if name in SENTENCES:
        return lambda value: escape(clean(_name(value)))
    if not is_numeric_dtype(column):
        words = {word: locale.message(text) for word, text in WORDS.get(_name(name), {}).items()}
        return lambda value: _escaped(words.get(value, value) if isinstance(value, str) else value)
    unit = unit_of(_name(name))
    formats: dict[str, Callable[[float], str]] = {
        "us": lambda value: locale.fixed(value, 1),
        "share": locale.percent,
        "flops": lambda value: locale.flops(round(value), "F"),
        "bytes": lambda value: locale.bytes(round(value)),
        "gbs": lambda value: locale.fixed(value, 1),
    }
    write = formats.get(unit or "", locale.fixed)
    if unit is None and all(value == round(value) for value in column.dropna() if math.isfinite(value)):
        write = locale.rounded  # also means of what is the same everywhere
    return lambda value: write(value) if math.isfinite(value) else DASH


def _is_of_gpu(column: str) -> bool:
    return column.startswith("gpu_") or column in ("kernels", "backward_kernels")


def _by_self_time(report: Report) -> list[int]:
    """Positions of all modules, the slowest first, those without a time last."""
    positions = {id(module): position for position, module in enumerate(report.modules)}
    timed = [positions[id(module)] for module, _us in view.slowest_modules(report, len(report.modules))]
    return list(dict.fromkeys([*timed, *positions.values()]))


def _columns(report: Report) -> dict[str, list[str]]:
    """The columns to show of the tables that have many; times are the GPU's where there is one."""
    device = "gpu" if view.has_gpu(report) else "cpu"
    per_pass = "_per_pass" if view.is_per_pass(report) else ""
    speed = "tflops" if view.has_gpu(report) else "cpu_gflops"
    limits = ["bound_share", "limited_by", "headroom_per_pass_us" if per_pass else "headroom_us"]
    own, time = f"{device}_self_time{per_pass}_us", f"{device}_time{per_pass}_us"
    part = ["blocks", f"{device}_time_us", "time_share", "matrix_flops", "tflops", "gbs", *limits[:2]]
    backward = f"gpu_backward_self_time{per_pass}_us"
    stack = ["stack"] if len(view.stacks(report)) > 1 else []
    return {
        "modules": ["path", "type", "calls", own, time, backward, "matrix_flops", "tflops", *limits],
        "blocks": [
            *stack,
            *("index", "kind", "parameters", time, f"matrix_flops{per_pass}", speed),
            *limits,
        ],
        "types": [
            *("type", "modules", "calls", f"{device}_self_time_us", f"{device}_time_us"),
            *("gpu_backward_self_time_us", "matrix_flops", "bound_share", "limited_by"),
        ],
        "block_kinds": [*stack, "kind", "part", *part],
        "block_parts": [*stack, "index", "part", *part[1:2], *part[3:]],
        "phases": [
            *("name", "passes", "tokens", "cache_length", "latency_us", "pass_wall_us", "gpu_time_us"),
            *("matrix_flops", "headline_tflops", "tokens_per_second"),
        ],
        "ops": [
            *("name", "shapes", "calls", f"{device}_time_us", "matrix_flops", "bytes", speed, "gbs"),
            *limits[:2],
        ],
    }
