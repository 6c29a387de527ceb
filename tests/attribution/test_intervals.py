"""Attribution by enclosing intervals equals a brute-force loop, for nested and for arbitrary intervals."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tracekit.attribution.intervals import (
    NOBODY,
    has_ancestor,
    innermost,
    is_within_same,
    nearest,
    nest,
    sum_upwards,
)
from tracekit.trace import Intervals

Span = tuple[int, int, int]  # thread, start, end

spans = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 12)).map(
        lambda x: (x[0], x[1], x[1] + x[2])
    ),
    max_size=30,
)


@st.composite
def nested_spans(draw: st.DrawFn) -> list[Span]:
    """Properly nested intervals on several threads, touching ones among them."""
    result: list[Span] = []

    def fill(thread: int, start: int, end: int, depth: int) -> None:
        result.append((thread, start, end))
        cuts = sorted(draw(st.lists(st.integers(start, end), max_size=4)))
        for low, high in pairwise(cuts):
            if depth < 4 and draw(st.booleans()):
                fill(thread, low, high, depth + 1)

    for thread in range(draw(st.integers(1, 3))):
        fill(thread, 0, draw(st.integers(1, 60)), 0)
    return draw(st.permutations(result))


def columns(rows: list[Span]) -> Intervals:
    thread, start, end = np.array(rows, np.int64).reshape(len(rows), 3).T
    return Intervals(np.zeros(len(rows), np.int64), thread, start, end)


def encloses(outer: Span, inner: Span) -> bool:
    return outer[0] == inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2]


def rank(rows: list[Span], index: int) -> tuple[int, int, int]:
    """Of two enclosing intervals the innermost starts later, else ends earlier, else is later in the file."""
    return rows[index][1], -rows[index][2], index


def brute_force(rows: list[Span], query: Span) -> int:
    found = [i for i, row in enumerate(rows) if encloses(row, query)]
    return max(found, key=lambda i: rank(rows, i), default=NOBODY)


@given(spans | nested_spans(), spans)
def test_innermost_equals_a_loop(rows: list[Span], queries: list[Span]) -> None:
    asked = columns(queries)
    found = innermost(nest(columns(rows)), asked.thread, asked.start, asked.end)
    assert found.tolist() == [brute_force(rows, query) for query in queries]


@given(spans | nested_spans())
def test_parents_equal_a_loop(rows: list[Span]) -> None:
    nesting = nest(columns(rows))
    for index, row in enumerate(rows):
        outer = [i for i in range(len(rows)) if encloses(rows[i], row) and rank(rows, i) < rank(rows, index)]
        parent = max(outer, key=lambda i: rank(rows, i), default=NOBODY)
        assert nesting.parent[index] == parent
        assert nesting.depth[index] == (0 if parent == NOBODY else nesting.depth[parent] + 1)


@given(nested_spans(), st.data())
def test_sums_and_flags_follow_the_ancestors(rows: list[Span], data: st.DataObject) -> None:
    nesting = nest(columns(rows))
    values = np.array(
        data.draw(st.lists(st.integers(0, 9), min_size=len(rows), max_size=len(rows))), np.int64
    )

    def ancestors(index: int) -> list[int]:
        parent = int(nesting.parent[index])
        return [] if parent == NOBODY else [parent, *ancestors(parent)]

    expected = [
        int(values[i]) + sum(int(values[j]) for j in range(len(rows)) if i in ancestors(j))
        for i in range(len(rows))
    ]
    assert sum_upwards(values, nesting.parent, nesting.depth).tolist() == expected
    flags = values > 6
    assert has_ancestor(flags, nesting.parent).tolist() == [
        any(flags[j] for j in ancestors(i)) for i in range(len(rows))
    ]
    assert is_within_same(values, nesting.parent).tolist() == [
        any(values[j] == values[i] for j in ancestors(i)) for i in range(len(rows))
    ]


@given(st.lists(st.tuples(st.booleans(), st.integers(-1, 20)), max_size=20))
def test_nearest_is_the_first_flagged_one_on_the_way_up(rows: list[tuple[bool, int]]) -> None:
    parent = [above if above < index else NOBODY for index, (_, above) in enumerate(rows)]
    flag = [one for one, _ in rows]
    expected = []
    for start in range(len(rows)):
        index = start
        while index != NOBODY and not flag[index]:
            index = parent[index]
        expected.append(index)
    found = nearest(np.array(flag, np.bool_), np.array(parent, np.int64))
    assert found.tolist() == expected
