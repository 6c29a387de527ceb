"""The tables of a job as plain columns, for CSV files and for pandas frames."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tracekit.analysis.ranks.schema import HeatMap, Job
from tracekit.analysis.schema.base import Row
from tracekit.messages import Message
from tracekit.report.tables.columns import Column, Table, column_of
from tracekit.report.tables.csv import table_pieces

JOB_TABLES = ("ranks", "lost", "steps", "groups", "collectives", "late", "stragglers", "modules", "findings")
LATE_PLACES, HEAT_MAP = "late_places", "heat_map"


def job_table(job: Job, name: str, text: Callable[[Message], str] = str) -> Table:
    """One of `JOB_TABLES`, "late_places" or "heat_map", also without rows; `text` makes texts of messages.

    Fields of a row in a row stand beside its own: `total_min_us`. Lists in a row are left out, but for the
    places of late ranks, each with its `rank`. Of the heat map a row is a rank's bin, in percent.
    """
    return Table(name, _columns(job, name, text))


def csv_pieces(job: Job, text: Callable[[Message], str] = str) -> Iterator[tuple[str, Iterator[bytes]]]:
    """File name and CSV (UTF-8, lines end in \\n) of every table, one after another, each in pieces."""
    for name in (*JOB_TABLES, LATE_PLACES, HEAT_MAP):
        yield f"{name}.csv", table_pieces(job_table(job, name, text))


def _columns(job: Job, name: str, text: Callable[[Message], str]) -> list[Column]:
    if name == HEAT_MAP:
        return _heat_map(job.heat_map)
    if name == LATE_PLACES:
        places = [(late.rank, place) for late in job.late for place in late.places]
        row_type = _row_type(_row_type(Job, "late"), "places")
        rank = column_of("rank", int, False, [rank for rank, _ in places])
        return [rank, *_flat([place for _, place in places], row_type, text)]
    return list(_flat(getattr(job, name), _row_type(Job, name), text))


def _row_type(owner: type[Row], field: str) -> type[Row]:
    """That of the rows in a field."""
    found: type[Row] = typing.get_args(typing.get_type_hints(owner)[field])[0]
    return found


def _flat(
    rows: Sequence[Any],
    row_type: type[Row],
    text: Callable[[Message], str],
    prefix: str = "",
    optional: bool = False,
) -> Iterator[Column]:
    hints = typing.get_type_hints(row_type)
    for name in row_type.__struct_fields__:
        kind, may_be_unknown = _kind(hints[name])
        may_be_unknown |= optional
        values = [None if row is None else getattr(row, name) for row in rows]
        if kind is tuple:
            continue
        if issubclass(kind, Row):
            yield from _flat(values, kind, text, f"{prefix}{name}_", may_be_unknown)
        else:
            yield column_of(f"{prefix}{name}", kind, may_be_unknown, values, text)


def _kind(hint: Any) -> tuple[type, bool]:
    """What the values of a field are, and whether they may be unknown."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        (known,) = (option for option in typing.get_args(hint) if option is not type(None))
        return _kind(known)[0], True
    if origin is typing.Literal:
        return str, False
    return origin or hint, False


def _heat_map(heat_map: HeatMap | None) -> list[Column]:
    ranks = heat_map.ranks if heat_map else ()
    bins = range(heat_map.bins if heat_map else 0)
    width = heat_map.bin_us if heat_map else 0.0
    shares = ("compute", "communication", "copy", "idle")
    return [
        column_of("rank", int, False, [rank for rank in ranks for _ in bins]),
        column_of("start_us", float, False, [number * width for _ in ranks for number in bins]),
        *(
            column_of(name, int, True, [value for row in getattr(heat_map, name, ()) for value in row])
            for name in shares
        ),
    ]
