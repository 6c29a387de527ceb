"""Interval arithmetic against counting nanosecond by nanosecond."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tracekit.analysis.ranks.spans import Partition, in_common, union

LENGTH = 40
Rows = list[tuple[int, int]]
ROWS = st.lists(
    st.tuples(st.integers(0, LENGTH), st.integers(0, LENGTH)).map(lambda ends: (min(ends), max(ends))),
    max_size=8,
)


def columns(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    both = np.array(rows, np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def counted(rows: Rows) -> np.ndarray:
    """Whether each nanosecond is in any."""
    inside = np.zeros(LENGTH, np.bool_)
    for start, end in rows:
        inside[start:end] = True
    return inside


@settings(max_examples=200, deadline=None)
@given(rows=ROWS, others=ROWS, asked=ROWS)
def test_unions_and_what_they_leave(rows: Rows, others: Rows, asked: Rows) -> None:
    spans, cut = union(*columns(rows)), union(*columns(others))
    assert (spans.start[1:] > spans.end[:-1]).all()
    for found, inside in ((spans, counted(rows)), (spans.without(cut), counted(rows) & ~counted(others))):
        within = found.within(*columns(asked))
        assert within.tolist() == [int(inside[start:end].sum()) for start, end in asked]


@settings(max_examples=200, deadline=None)
@given(rows=ROWS, others=ROWS)
def test_what_two_have_in_common(rows: Rows, others: Rows) -> None:
    spans = union(*columns(others))
    first, second, start, end = in_common(*columns(rows), spans.start, spans.end)
    found = set(zip(first.tolist(), second.tolist(), start.tolist(), end.tolist(), strict=True))
    assert found == {
        (at, place, max(begin, low), min(until, high))
        for at, (begin, until) in enumerate(rows)
        for place, (low, high) in enumerate(zip(spans.start.tolist(), spans.end.tolist(), strict=True))
        if max(begin, low) < min(until, high)
    }


@settings(max_examples=200, deadline=None)
@given(compute=ROWS, communication=ROWS, copy=ROWS)
def test_the_parts_of_a_device_make_up_its_time(compute: Rows, communication: Rows, copy: Rows) -> None:
    start, end = columns(compute + communication + copy)
    kind = np.repeat([0, 1, 2], [len(compute), len(communication), len(copy)])
    parts = Partition.of(start, end, kind == 1, kind == 2).split(np.array([0]), np.array([LENGTH]))
    computes, communicates, copies = counted(compute), counted(communication), counted(copy)
    assert {name: int(column[0]) for name, column in parts.items()} == {
        "compute": computes.sum(),
        "exposed": (communicates & ~computes).sum(),
        "overlapped": (communicates & computes).sum(),
        "copy": (copies & ~computes & ~communicates).sum(),
        "idle": (~computes & ~communicates & ~copies).sum(),
    }
